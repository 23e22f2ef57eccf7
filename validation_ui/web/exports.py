"""API of the export page: how far the split is, an export as one zip file, the judgements as CSV, the agreement."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from validation_ui.exporting import agreement_texts
from validation_ui.exporting.benchmark import read_chosen
from validation_ui.problem import Problem
from validation_ui.schema import ItemState
from validation_ui.settings import Settings
from validation_ui.statistics.progress import KINDS, NO_PERSON_LEFT, progress
from validation_ui.web import files
from validation_ui.web.export_job import Exports, as_json
from validation_ui.web.requests import AdminDep, Body, DatabaseDep, ObserverDep

router = APIRouter()
_WAITING = {
    ItemState.SIGHTED: "the sighted pass",
    ItemState.BLIND: "the blind pass",
    ItemState.ADJUDICATE: "adjudication",
}


def exports_of(request: Request) -> Exports:
    """Return the app's exports; a FastAPI dependency."""
    exports: Exports = request.app.state.exports
    return exports


ExportsDep = Annotated[Exports, Depends(exports_of)]


class NewExport(Body):
    """The body that begins an export."""

    final: bool = False  # fix the judgements of the exported expressions
    rewrite_train: bool = False


@router.get("/api/exports")
def show(database: DatabaseDep, exports: ExportsDep, caller: AdminDep) -> dict[str, Any]:
    """Return how far the split is, and how the last export ended.

    `{"ready": {"videos"|"long"|"short": {"accepted", "quota"}}, "complete": bool, "missing": [sentence, …],`
    `"running_since"|null, "last": null | {"started_at", "ended_at", "final", "error"|null, "report", "bytes"},`
    `"has_file": bool}`
    """
    with database.read() as connection:
        project = progress(connection, database.now())
        unfound = sum(not one.blind_hits for one in read_chosen(connection))
    ready = {name: {"accepted": quota.accepted, "quota": quota.quota} for name, quota in project.quotas.items()}
    states = project.states or {}
    missing = []
    for kind in KINDS:
        quota = project.quotas[kind]
        lacking = quota.quota - quota.accepted
        if lacking <= 0:
            continue
        waiting = ", ".join(
            f"{states[kind][state]} in {name}" for state, name in _WAITING.items() if states[kind][state]
        )
        nobody = states[kind][NO_PERSON_LEFT]
        missing.append(
            f"{_are_missing(lacking, f'{kind} expression')}; waiting for a judgement: {waiting or 'none'}"
            + (f"; {nobody} more that nobody of the team may judge" if nobody else "")
            + "."
        )
    if (lacking := project.quotas["videos"].quota - project.quotas["videos"].accepted) > 0:
        missing.append(f"{_are_missing(lacking, 'video')}.")
    if unfound:
        missing.append(f"{unfound} accepted texts were not found blind by their final wording: no export until then.")
    is_complete = all(quota.accepted >= quota.quota for quota in project.quotas.values())
    return {"ready": ready, "complete": is_complete, "missing": missing} | as_json(exports)


def _are_missing(count: int, what: str) -> str:
    return f"{count} {what} is missing" if count == 1 else f"{count} {what}s are missing"


@router.post("/api/exports", status_code=202)
def start(body: NewExport, exports: ExportsDep, caller: AdminDep) -> dict[str, Any]:
    """Begin an export in a process of its own; `GET /api/exports` tells when it is ready."""
    exports.start(final=body.final, rewrite_train=body.rewrite_train, actor=f"person:{caller.id}")
    return as_json(exports)


@router.api_route("/api/exports/split.zip", methods=["GET", "HEAD"])
def download(request: Request, exports: ExportsDep, caller: AdminDep) -> Response:
    """Send the last export, or one range of it, so that a download that broke off can go on."""
    last = exports.last()
    if exports.running_since() is not None or last is None or not exports.file.is_file():
        raise Problem(404, "no_export", "There is no export to download. Make one on the page Export.")
    etag = f'"{last.ended_at:.6f}-{last.bytes}"'
    response = files.answer(exports.file, "application/zip", request.headers, etag=etag, immutable=False)
    response.headers["Content-Disposition"] = (
        f'attachment; filename="refsav_split{"" if last.final else "_partial"}.zip"'
    )
    return response


@router.get("/api/judgements.csv")
def judgements(exports: ExportsDep, caller: AdminDep) -> FileResponse:
    """Send all judgements as CSV; people have pseudonyms."""
    path = exports.judgements_csv()
    headers = {"Content-Disposition": 'attachment; filename="judgements.csv"'}
    done = BackgroundTask(path.unlink, missing_ok=True)
    return FileResponse(path, media_type="text/csv; charset=utf-8", headers=headers, background=done)


@router.get("/api/agreement.md")
def agreement(database: DatabaseDep, caller: ObserverDep) -> Response:
    """Send `agreement.md` as an export made now would have it, but for its notes on the training file."""
    with database.read() as connection:
        _, text, _ = agreement_texts(connection, Settings.load(connection), read_chosen(connection), [])
    headers = {"Content-Disposition": 'attachment; filename="agreement.md"'}
    return Response(text, media_type="text/markdown; charset=utf-8", headers=headers)
