"""What can go wrong, and the exit code that says so."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_RESUMABLE = 75


class JobError(Exception):
    """A failure that is explained in one line, without a traceback. Exit code 1."""

    exit_code = EXIT_FAILED


class BadInput(JobError):
    """The configuration or the input is wrong: the message says what, where, and what to do. Exit code 2."""

    exit_code = EXIT_BAD_INPUT


class Resumable(JobError):
    """Stopped on the way with everything finished so far kept: the same command goes on. Exit code 75 (EX_TEMPFAIL)."""

    exit_code = EXIT_RESUMABLE
