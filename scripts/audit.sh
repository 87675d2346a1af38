#!/usr/bin/env bash
# Asks a public service which pinned versions have known vulnerabilities, with pip-audit in an environment of its own.
# Needs a network that reaches the service; changes nothing here.
#   bash scripts/audit.sh            # osv: api.osv.dev
#   bash scripts/audit.sh pypi       # pypi.org, for each package
#   OSV_URL=http://localhost:8000/v1/query bash scripts/audit.sh        # another service that answers as osv does
# Exit code: 0 none known; 1 some are, or a pin could not be looked up, or the service does not answer.
# A finding with a reason to live with it stands in scripts/audit_accepted.txt: `ID  reason` a line.
set -euo pipefail
cd "$(dirname "$0")/.."
service="${1:-osv}"
accepted=scripts/audit_accepted.txt

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" --quiet install 'pip-audit>=2.9,<3'

ignored=()
while read -r id reason; do
    case "$id" in '' | '#'*) continue ;; esac
    [ -n "$reason" ] || { echo "audit: $accepted: $id has no reason: write one after it" >&2; exit 1; }
    ignored+=(--ignore-vuln "$id")
done <"$accepted"

status=0
for pins in scripts/constraints.txt scripts/constraints-gpu.txt; do
    echo "audit: $pins, $(grep -c == "$pins") pins, $service" >&2
    # --strict: a pin that the service does not know is no clean pin. The pins are complete, so nothing is resolved
    "$work/venv/bin/pip-audit" --requirement "$pins" --no-deps --disable-pip --strict --progress-spinner off \
        --vulnerability-service "$service" ${OSV_URL:+--osv-url "$OSV_URL"} ${ignored[@]+"${ignored[@]}"} \
        2>"$work/errors" || status=1
    # a service that does not answer ends in a long traceback, of which the last line says it
    tail -n 1 "$work/errors" >&2
done
[ $status = 0 ] || {
    echo "audit: not clean, or not audited: see above. Upgrade what has a fix in pyproject.toml and constraints.txt," \
        "then bash scripts/lock.sh; or accept it in $accepted" >&2
}
exit $status
