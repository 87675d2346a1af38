"""The section `describe`: how stories are named."""

from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from job.config.sections import NO_EFFECT, Name, Section


class Llm(Section):
    """A language model that names the largest stories; off where `endpoint` is None.

    `endpoint`: of an API that speaks OpenAI's chat completions, such as http://localhost:8000/v1. Its key comes from
    the environment alone: LLM_API_KEY, for api.openai.com else OPENAI_API_KEY. `largest`: how many stories are named,
    the largest first. `batch`: stories of one theme per request. `budget_tokens`: of all requests of a run, estimated
    before each and corrected by what the server counts; then the others keep their titles. `timeout`: seconds for one
    answer. `parallel`: requests at once.
    """

    endpoint: Name | None = None
    model: Name | None = None
    largest: int = Field(default=500, ge=1)
    batch: int = Field(default=12, ge=1, le=12)
    budget_tokens: int = Field(default=400_000, ge=1)
    timeout: Annotated[float, NO_EFFECT] = Field(default=60.0, gt=0)
    parallel: Annotated[int, NO_EFFECT] = Field(default=4, ge=1, le=64)

    @field_validator("endpoint")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as http://localhost:8000/v1")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("expected an address alone: a key goes into the environment variable LLM_API_KEY")
        return value.rstrip("/").removesuffix("/chat/completions")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.endpoint is None) != (self.model is None):
            missing, given = ("model", "endpoint") if self.endpoint else ("endpoint", "model")
            raise ValueError(f"describe.llm.{given} is set and describe.llm.{missing} is not: set both or neither")
        return self


class Describe(Section):
    """Names. `llm`: off by default, stories are named by their own titles."""

    llm: Llm = Llm()

    @field_validator("llm", mode="before")
    @classmethod
    def _none_is_off(cls, value: Any) -> Any:
        return {} if value is None else value
