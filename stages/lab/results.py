"""results."""

from __future__ import annotations

from fastapi import APIRouter

from stages.lab.desk import Desk

LIMITS: dict[str, int] = {}


def routes(desk: Desk) -> APIRouter:
    return APIRouter()
