"""Submits the job as a chain of Slurm jobs, whose links README.md explains. Needs Python 3.9 and nothing else.

bash scripts/slurm/submit.sh configs/slurm.yaml --nodes 8 --gpus-per-node 4
"""

import argparse
import subprocess
import sys
from pathlib import Path

from batch import CHAIN, LINKS, Options, job_name, script


def parse(words: list[str]) -> tuple[Options, list[str], bool]:
    """The options, the links of the chain, and whether to print only, from the command line."""
    given = Options()
    parser = argparse.ArgumentParser(prog="submit.sh", description="Submit the job as a chain of Slurm jobs.")
    parser.add_argument("config", nargs="?", default="", help="a YAML file, as configs/slurm.yaml")
    parser.add_argument("words", nargs="*", metavar="key=value", help="over the file's")
    parser.add_argument("--nodes", type=int, default=given.nodes)
    parser.add_argument("--gpus-per-node", type=int, default=given.gpus_per_node, help="and processes per node")
    parser.add_argument("--cpus-per-gpu", type=int, default=given.cpus_per_gpu)
    parser.add_argument("--mem", default=given.mem, help="memory per node; 0: all")
    parser.add_argument("--time", default=given.time, help="of each link")
    parser.add_argument("--partition", default="")
    parser.add_argument("--account", default="")
    parser.add_argument("--qos", default="")
    parser.add_argument("--name", default=given.name)
    parser.add_argument("--logs", default="runs/logs", help="folder of the batch logs and of the scripts; it is made")
    parser.add_argument("--venv", default=given.venv)
    parser.add_argument("--conda", default="")
    parser.add_argument("--container", default="", help="an Apptainer image")
    parser.add_argument("--bind", default="", help="folders that the container sees")
    parser.add_argument("--milvus-uri-file", default="", help="a file with the server's address")
    parser.add_argument("--hf-home", default="")
    parser.add_argument("--online", action="store_true", help="the nodes have a network")
    parser.add_argument("--scratch", default="")
    parser.add_argument("--chain", default=",".join(CHAIN), help=f"links, of {', '.join(LINKS)} (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print the scripts, submit nothing")
    found = vars(parser.parse_intermixed_args(words))
    links, dry = found.pop("chain").split(","), found.pop("dry_run")
    if not found["config"]:
        parser.error("no configuration: add it, as in  bash scripts/slurm/submit.sh configs/slurm.yaml")
    if "=" in found["config"]:
        parser.error(f"'{found['config']}' is no file: the configuration comes before key=value words")
    unknown = [link for link in links if link not in LINKS]
    if unknown:
        parser.error(f"--chain: '{unknown[0]}' is no link; there are {', '.join(LINKS)}")
    options = Options(offline=not found.pop("online"), **{**found, "words": tuple(found["words"])})
    return options, links, dry


def submit(options: Options, links: list[str]) -> list[str]:
    """Write and submit the links, each after the one before has succeeded. Returns the job ids.

    Raises:
        subprocess.CalledProcessError: sbatch refused one; those before it are canceled.
    """
    # without the folder of its log a job fails at its start, without a word
    logs = Path(options.logs)
    logs.mkdir(parents=True, exist_ok=True)
    ids: list[str] = []
    for link in links:
        path = logs / f"{options.name}-{link}.sbatch"
        path.write_text(script(options, link), encoding="utf-8")
        after = [f"--dependency=afterok:{ids[-1]}", "--kill-on-invalid-dep=yes"] if ids else []
        try:
            done = subprocess.run(
                ["sbatch", "--parsable", *after, str(path)], stdout=subprocess.PIPE, text=True, check=True
            )
        except subprocess.CalledProcessError:
            if ids:
                subprocess.run(["scancel", *ids], check=False)
            raise
        ids.append(done.stdout.strip().partition(";")[0])
    return ids


def main(words: list[str]) -> int:
    options, links, dry = parse(words)
    if dry:
        for link in links:
            print(f"### {options.logs}/{options.name}-{link}.sbatch\n{script(options, link)}")
        return 0
    if not Path(options.config).is_file():
        print(f"submit.sh: no file '{options.config}': name the configuration, as configs/slurm.yaml", file=sys.stderr)
        return 2
    try:
        ids = submit(options, links)
    except FileNotFoundError:
        print("submit.sh: no sbatch here: call it on a login node, or add --dry-run", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError:
        print("submit.sh: sbatch refused it; nothing is left in the queue", file=sys.stderr)
        return 1
    for link, job in zip(links, ids):  # noqa: B905 - Python 3.9 has no strict
        print(f"{link}: job {job}, log {options.logs}/{job_name(options, link)}-{job}.log")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
