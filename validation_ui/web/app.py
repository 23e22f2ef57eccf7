"""The factory of the FastAPI app. All that the app needs is passed to the factory; there are no globals."""

from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from validation_ui.database import Database
from validation_ui.people.passwords import Passwords
from validation_ui.problem import Problem
from validation_ui.serving import Serving, load_secret
from validation_ui.web import account, admin, entry, exports, files, items, pages, review, settings_page, stats
from validation_ui.web.export_job import Exports
from validation_ui.web.files import StaticFiles
from validation_ui.web.guard import Guard

__all__ = ["Serving", "create_app", "load_secret"]


def create_app(database: Database, data: Path, sav_root: Path, serving: Serving) -> FastAPI:
    """Build the app of one project.

    Args:
        database: the project's database.
        data: the project's data folder, with the images and the secret.
        sav_root: the folder that holds `sav_train/`, for the source videos.
        serving: how the app is reached.
    """
    app = FastAPI(title="refsav validation", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.database, app.state.data, app.state.sav_root, app.state.serving = database, data, sav_root, serving
    app.state.passwords, app.state.templates = Passwords(), pages.templates()
    app.state.exports = Exports(database, data, sav_root)
    own = review, files, account, admin, items, settings_page, exports, entry, stats, pages
    for module in own:  # routes are searched in order: frequent ones first
        app.include_router(module.router)
    app.add_route("/static/{name:path}", StaticFiles().answer, methods=["GET"])
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failure)
    # outside of Starlette's outermost layer, so that the response to a crash has the security headers too
    app.middleware_stack = Guard(app.build_middleware_stack(), serving)
    return app


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
    return _answer(request, Problem(status, status.name.lower(), f"{status.phrase}."), error.headers)


def _failure(request: Request, _error: Exception) -> Response:
    return _answer(
        request, Problem(500, "failure", "The server failed at this. What was saved before is kept; try again.")
    )


def _answer(request: Request, problem: Problem, headers: object = None) -> Response:
    """Return the error as JSON for scripts, or as a page for people."""
    more = dict(headers) if isinstance(headers, dict) else {}
    if "retry_after_s" in problem.extra:
        more["Retry-After"] = str(problem.extra["retry_after_s"])
    if request.url.path.startswith(("/api/", "/media/", "/static/")):
        body = {"error": {"code": problem.code, "message": problem.message, **problem.extra}}
        return JSONResponse(body, problem.status, more)
    if problem.code == "signed_out":
        return RedirectResponse(pages.login_address(request), 303)
    return pages.error_page(request, problem)
