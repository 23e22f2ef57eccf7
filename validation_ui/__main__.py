"""Let people validate an annotation run in a browser: `python -m validation_ui serve runs/demo`, or `make ui OUT=…`."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from manifests.io import Folder
from validation_ui import commands, trouble
from validation_ui.database import checked_url
from validation_ui.project import Project
from validation_ui.settings import Settings

logger = logging.getLogger("refsav")

Command = Callable[[Project, argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command and return the exit code.

    0 = done, 2 = a user error, 3 = stopped by trouble with a disk or database or by Ctrl-C; all are logged as one
    sentence.
    """
    options = parser().parse_args(arguments)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    run: Command = options.run
    project: Project | None = None
    try:
        out = Folder(options.out)
        if options.data is None and not out.is_local:
            raise ValueError(f"{out.url} is not on this machine: give --data, a local folder for pictures and database")
        data = Path(options.data or out.path("validation"))
        database = checked_url(options.database) if options.database else None
        project = Project(out, data, options.sav_root, database)
        run(project, options)
    except ValueError as error:
        logger.error("%s", error)
        return trouble.USER
    except (OSError, SQLAlchemyError, trouble.TroubleError) as error:
        found = trouble.explain(error, project.shown if project else "")
        if found is None:
            raise
        logger.error("%s", found.sentence)
        return found.exit_code
    except KeyboardInterrupt:
        logger.error("stopped. What is done is kept; give the same command again.")
        return trouble.STOPPED
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of the sub-commands and their options."""
    command = argparse.ArgumentParser(prog="python -m validation_ui", description=__doc__)
    add_command = command.add_subparsers(required=True, metavar="COMMAND").add_parser

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        sub = add_command(name, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("out", metavar="OUT", help="folder of an annotation run, e.g. runs/demo")
        sub.add_argument("--data", help="local folder of pictures and database (default OUT/validation)")
        sub.add_argument(
            "--database",
            help="e.g. postgresql+psycopg://user@host/name (default SQLite in --data); a "
            "password is read from PGPASSWORD or ~/.pgpass",
        )
        sub.add_argument("--sav-root", help="folder that holds sav_train/ (default: that of the run)")
        return sub

    serve = add("serve", commands.serve, "import the run if that was not done, and serve the app")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine)")
    serve.add_argument("--port", type=int, default=8300, help="default 8300; 0 takes any free one")
    serve.add_argument("--tls-cert", help="certificate (PEM); with --tls-key the app speaks HTTPS itself")
    serve.add_argument("--tls-key", help="private key (PEM)")
    serve.add_argument("--public-url", help="the address people use, if a proxy stands before the app: https://…")
    serve.add_argument("--plain-http", action="store_true", help="allow passwords to cross a network unencrypted")
    load = add("import", commands.import_run, "draw the candidates from the run and make their pictures")
    for sub in (serve, load):
        sub.add_argument("--workers", type=int, help="processes that decode videos (default: CPUs)")
        sub.add_argument("--set", nargs="+", metavar="NAME=VALUE", default=[], help=f"settings: {_names()}")
    change = add("set", commands.change, "change settings of a project; the split of the videos stays")
    change.add_argument("set", nargs="+", metavar="NAME=VALUE", help=_names())
    write = add("export", commands.export, "write the benchmark split, the judgements and the agreement")
    write.add_argument("to", metavar="TO", help="folder to write")
    write.add_argument("--train", help="a Ref-SAV.json to keep apart from (default OUT/Ref-SAV.json)")
    write.add_argument("--rewrite-train", action="store_true", help="also write Ref-SAV.json without these videos")
    write.add_argument(
        "--no-target", action="store_true", help="also the texts without a target that people found to have none"
    )
    add("backup", commands.backup, "copy the database while the app runs").add_argument("to", metavar="FILE")
    add("restore", commands.restore, "put a backup in the place of the database; the app must not run").add_argument(
        "backup", metavar="FILE", help="made by `backup`"
    )
    add("verify-log", commands.verify_log, "check that the audit log is as it was written").add_argument(
        "--to", metavar="FILE", help="also write it, a JSON object a line"
    )
    add("invite", commands.invite, "print a link that makes an account").add_argument(
        "--role", default="reviewer", help="reader, reviewer (default), adjudicator or admin"
    )
    add("reset", commands.reset, "end somebody's password and print a link to choose a new one").add_argument(
        "name", metavar="NAME", help="as they sign in"
    )
    return command


def _names() -> str:
    return ", ".join(f"{name}={value}" for name, value in Settings().as_dict().items())


if __name__ == "__main__":
    sys.exit(main())
