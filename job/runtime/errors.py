"""The job's errors, each with its exit code."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_RESUMABLE = 75


class JobError(Exception):
    """A failure that one line explains, without a traceback. Exit code 1."""

    exit_code = EXIT_FAILED


class BadInput(JobError):
    """The configuration or the input is wrong: the message says what, where, and what to do. Exit code 2."""

    exit_code = EXIT_BAD_INPUT


class Resumable(JobError):
    """The run stopped early and finished work is kept: the same command continues it. Exit code 75 (EX_TEMPFAIL)."""

    exit_code = EXIT_RESUMABLE
