"""What routes ask of a request: the database, who is signed in, and a JSON body without unknown fields."""

from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict

from validation_ui.database import Database
from validation_ui.people.access import Caller, database_of, need
from validation_ui.schema import Role

DatabaseDep = Annotated[Database, Depends(database_of)]
SomeoneDep = Annotated[Caller, Depends(need())]  # anybody who is signed in
AdminDep = Annotated[Caller, Depends(need(Role.ADMIN))]


class Body(BaseModel):
    """A JSON body of a request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")
