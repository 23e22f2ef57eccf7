"""What routes ask of a request: the database, who is signed in, ids, and a JSON body without unknown fields."""

from typing import Annotated, TypeVar

from fastapi import Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from validation_ui.database import Database
from validation_ui.people.access import Caller, database_of, need
from validation_ui.schema import Role

DatabaseDep = Annotated[Database, Depends(database_of)]
SomeoneDep = Annotated[Caller, Depends(need())]  # anybody who is signed in
AdminDep = Annotated[Caller, Depends(need(Role.ADMIN))]
ReviewerDep = Annotated[Caller, Depends(need(Role.REVIEWER))]  # all who judge
ObserverDep = Annotated[Caller, Depends(need(Role.READER, Role.ADJUDICATOR))]
MAX_ID = 2**31 - 1  # of an integer column
DatabaseId = Annotated[int, Path(ge=1, le=MAX_ID)]


T = TypeVar("T")
OneOf = Annotated[T, Field(strict=False)]  # a member of an enum, which JSON has as text


class Body(BaseModel):
    """A JSON body of a request; unknown fields are refused, and so are numbers as text and truth values as numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)
