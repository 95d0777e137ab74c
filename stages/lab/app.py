"""The web application: one page, its files, and the routes of its four parts; every refusal is one line of JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from stages.lab import bench, paint, results, training
from stages.lab.errors import RefusedError
from stages.lab.loaded_readers import Desk
from stages.lab.request_guard import Guard

HERE = Path(__file__).parent
PARTS = {"paint": "Paint", "bench": "Captcha bench", "train": "Train", "results": "Results"}


def create_app(desk: Desk, *, hosts: Sequence[str] = ()) -> FastAPI:
    """The lab application; `hosts` are allowed host names in addition to loopback's."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(title="lab", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    limits: dict[str, int] = {}
    for part in (paint, bench, training, results):
        app.include_router(part.routes(desk), prefix="/api")
        limits |= {f"/api{path}": limit for path, limit in part.LIMITS.items()}
    app.add_middleware(Guard, hosts=hosts, limits=limits)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(ValueError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _missing)
    app.add_exception_handler(OSError, _unwritable)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    page = (
        Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
        )
        .get_template("page.html")
        .render(parts=PARTS, networks=training.FITTED)
    )

    @app.get("/")
    def lab() -> HTMLResponse:
        return HTMLResponse(page)

    @app.get("/api/readers")
    def readers() -> list[dict[str, object]]:
        """All available readers, those of the study first."""
        return desk.readers()

    return app


async def _refused(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": " ".join(str(error).split())}, getattr(error, "status", 400))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        f"{'.'.join(map(str, one['loc'][1:])) or 'body'}: {_expected(one['msg'])}"
        for one in error.errors()
    ]
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return JSONResponse({"error": _line("; ".join(problems[:3])) + more}, 422)


def _expected(message: str) -> str:
    """The message of a check of ours without pydantic's word for it."""
    return message.replace("Value error, ", "expected ", 1)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, RefusedError):  # raised while FastAPI read the body
        return await _refused(request, error.__cause__)
    return JSONResponse(
        {"error": _line(f"{request.method} {request.url.path}: {error.detail}")}, error.status_code
    )


async def _missing(request: Request, error: Exception) -> JSONResponse:
    """Answer to a browser that disconnects during an upload: no error of the lab, so no traceback in its terminal."""
    return JSONResponse({"error": "the request was broken off: send it again"}, 400)


async def _unwritable(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse(
        {
            "error": _line(
                f"the lab could not use its folder ({error}): free some space, or correct its "
                "permissions"
            )
        },
        507,
    )


def _line(words: str) -> str:
    return " ".join(words.split())[:300]
