"""The error family. Everything a user can cause is a `RhoTEMError`: one clear line, exit code 2."""


class RhoTEMError(Exception):
    """Base of all errors that the user can do something about.

    The message says what was got, what was expected and what to do, in one line.
    """


class InputError(RhoTEMError):
    """A structure, density file, option or setting that cannot be used."""


class ConvergenceError(RhoTEMError):
    """An iterative calculation that did not converge."""


class MemoryLimitError(RhoTEMError):
    """A calculation that would not fit into memory; the message says how much it needs."""


class MissingDependencyError(RhoTEMError):
    """An optional package that is not installed; the message says how to install it."""
