"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: one sentence that says what is wrong and what to do.

    The command line prints it without a traceback and exits with status 2.
    """
