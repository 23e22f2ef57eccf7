"""The factory of the FastAPI app. All that the app needs is passed to the factory; there are no globals."""

import logging
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from validation_ui import trouble
from validation_ui.database import Database
from validation_ui.people.access import SAFE_METHODS
from validation_ui.people.passwords import Passwords
from validation_ui.problem import Problem
from validation_ui.serving import Serving, load_secret
from validation_ui.web import (
    account,
    admin,
    entry,
    exports,
    files,
    item_routes,
    pages,
    people,
    review,
    settings_page,
    stats,
)
from validation_ui.web.draw_job import DrawJob
from validation_ui.web.export_job import Exports
from validation_ui.web.files import StaticFiles
from validation_ui.web.guard import Guard

__all__ = ["Serving", "create_app", "load_secret"]
logger = logging.getLogger("refsav")
_NO_PAGES = ("/api/", "/media/", "/static/")


def create_app(
    database: Database,
    data: Path,
    sav_root: Path,
    serving: Serving,
    draws: DrawJob | None = None,
) -> FastAPI:
    """Build the app of one project.

    Args:
        database: the project's database.
        data: the project's data folder, with the images and the secret.
        sav_root: the folder that holds `sav_train/`, for the source videos.
        serving: how the app is reached.
        draws: draws candidates for raised quotas beside the app; None = the project has no run to draw from.

    Raises:
        ValueError: the path of the public URL begins like one of the app's own.
    """
    app = FastAPI(title="refsav validation", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.database, app.state.data, app.state.sav_root, app.state.serving = database, data, sav_root, serving
    app.state.passwords, app.state.templates = Passwords(), pages.templates()
    app.state.exports, app.state.draws = Exports(database, data, sav_root), draws or DrawJob()
    own = review, files, account, admin, people, item_routes, settings_page, exports, entry, stats, pages
    for module in own:  # routes are searched in order: frequent ones first
        app.include_router(module.router)
    app.add_route("/static/{name:path}", StaticFiles().answer, methods=["GET"])
    _check_base(serving.base)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DBAPIError, _trouble)
    app.add_exception_handler(PoolTimeoutError, _trouble)
    app.add_exception_handler(Exception, _failure)
    # outside of Starlette's outermost layer, so that the response to a crash has the security headers too
    app.middleware_stack = Guard(app.build_middleware_stack(), serving)
    return app


def _check_base(base: str) -> None:
    """Refuse a path that begins like a route: behind a proxy that strips it, the two could not be told apart."""
    first = base.split("/")[1] if base else None
    own = {path.split("/")[1] for path in (*_NO_PAGES, *pages.addresses())}
    if first in own:
        raise ValueError(f"the path of --public-url must not begin with /{first}, an address of the app: take another")


def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(request, error)


def _invalid(request: Request, error: Exception) -> Response:
    """Name the fields that are wrong and the reasons, but never the values that were sent."""
    assert isinstance(error, RequestValidationError)
    fields = {}
    for fault in error.errors():
        extra = fault["type"] == "extra_forbidden"  # the caller chose its name
        where = ".".join(str(part) for part in fault["loc"][1:] if str(part).isidentifier() or isinstance(part, int))
        fields["" if extra else where] = "A field that is not known." if extra else fault["msg"]
    return _answer(request, Problem(422, "invalid", "Some of what was sent is not as it must be.", fields=fields))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    path = pages.address_of(request)
    is_page = path.endswith("/") and not path.startswith(_NO_PAGES)
    if status == HTTPStatus.NOT_FOUND and is_page and request.method in SAFE_METHODS:
        # not as a full URL, which Starlette would make of a Host header that the proxy may have changed
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{request.scope['root_path']}/{quote(path.strip('/'))}{query}", 307)
    return _answer(request, Problem(status, status.name.lower(), f"{status.phrase}."), error.headers)


def _trouble(request: Request, error: Exception) -> Response:
    """Tell that the database does not work now, and after what time to try again; the log has the reason."""
    found = trouble.explain(error, request.app.state.database.shown)
    if found is None:
        logger.error("a fault of the program", exc_info=error)
        return _failure(request, error)
    logger.error("%s", found.sentence)
    message = "The project's database does not work at the moment, and nothing of this was saved. Try again soon."
    return _answer(request, Problem(503, "busy", message, retry_after_s=found.retry_after_s))


def _failure(request: Request, _error: Exception) -> Response:
    return _answer(
        request, Problem(500, "failure", "The server failed at this. What was saved before is kept; try again.")
    )


def _answer(request: Request, problem: Problem, headers: object = None) -> Response:
    """Return the error as JSON for scripts, or as a page for people."""
    more = dict(headers) if isinstance(headers, dict) else {}
    if "retry_after_s" in problem.extra:
        more["Retry-After"] = str(problem.extra["retry_after_s"])
    if pages.address_of(request).startswith(_NO_PAGES):
        body = {"error": {"code": problem.code, "message": problem.message, **problem.extra}}
        return JSONResponse(body, problem.status, more)
    if problem.code == "signed_out":
        return RedirectResponse(pages.login_address(request), 303)
    return pages.error_page(request, problem)
