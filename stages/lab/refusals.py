"""What the lab refuses, with the HTTP status that says so."""

from __future__ import annotations


class RefusedError(ValueError):
    """One line for the user: where, what was expected, what came, what to do."""

    status = 400


class MissingError(RefusedError):
    """What was named is not there."""

    status = 404


class BusyError(RefusedError):
    """It cannot be done while something else is."""

    status = 409


class TooLargeError(RefusedError):
    """More bytes, or pixels, than the route takes."""

    status = 413


class UnreadableError(RefusedError):
    """Bytes that are not of the kind the route takes."""

    status = 415
