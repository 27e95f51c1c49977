"""Users without an entry in the list of users, as containers often have them."""

import getpass
import os


def have_a_name() -> None:
    """Give this process and its children a user name where there is none.

    PyTorch and MLflow ask for one, and stop without. It is the number of the user.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["USER"] = f"user{os.getuid()}" if hasattr(os, "getuid") else "user"
