"""Errors of the lab, each with its HTTP status."""

from __future__ import annotations


class RefusedError(ValueError):
    """Base class. The message is one line for the user: where, expected, got, what to do."""

    status = 400


class MissingError(RefusedError):
    """The named thing does not exist."""

    status = 404


class BusyError(RefusedError):
    """Another action must end first."""

    status = 409


class TooLargeError(RefusedError):
    """More bytes or pixels than the route accepts."""

    status = 413


class UnreadableError(RefusedError):
    """Bytes of a kind that the route does not accept."""

    status = 415
