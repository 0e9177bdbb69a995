"""What the sections of a plan are made of: frozen models whose keys carry units, limits, help and their option."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from rhotem.analysis.plan.problems import problems
from rhotem.core import InputError, RhoTEMError


@dataclass(frozen=True)
class Option:
    """The command-line option of a key; it stands beside the type in ``Annotated``.

    Parameters
    ----------
    name : str
        "--thickness"; a switch has "--order/--no-order".
    reads : type
        What the command line reads before the plan does: float, int, str, bool, Path, list[str] or a Literal.
    metavar : str or None
        Unit or pattern shown in `--help`.
    panel : str
        Group of `--help`; "" is that of the section.
    shown : str or bool
        Default shown in `--help`.
    short : str
        "-s".
    least : int or None
        Smallest whole number.
    """

    name: str
    reads: Any = str
    metavar: str | None = None
    panel: str = ""
    shown: str | bool = False
    short: str = ""
    least: int | None = None


#: A number with a unit behind it.
_SPELLED = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*[^\W\d].*")


if TYPE_CHECKING:  # pydantic's metaclass has no public name
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _OneLine(ModelMetaclass):
    """Classes whose constructor says in one line of a `RhoTEMError` what is wrong.

    Not their ``__init__``: pydantic calls that for inner models, too, and would lose where they stand.
    """

    def __call__(cls, *values: Any, **named: Any) -> Any:
        try:
            return super().__call__(*values, **named)
        except ValidationError as error:
            raise InputError("; ".join(str(p) for p in problems(error, cls))) from None  # type: ignore[arg-type]  # a model


class Section(BaseModel, metaclass=_OneLine):
    """Base of a plan and its sections: immutable, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=False)


def number(
    words: str, unit: str = "", above: float | None = None, below: float | None = None, least: float | None = None
) -> tuple[BeforeValidator, AfterValidator]:
    """Validators of a number that is no truth value: ``above`` and ``below`` exclusive, ``least`` inclusive."""

    def refuse_bool(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"{words}: expected a number{f' in {unit}' if unit else ''}")
        spelled = _SPELLED.fullmatch(value) if isinstance(value, str) and unit else None
        if spelled:
            raise ValueError(f"{words} {value!r}: write {spelled[1]}, the unit is always {unit}")
        return value

    def check(value: Any) -> Any:
        if value is None:
            return value
        low = (above is not None and not value > above) or (least is not None and not value >= least)
        if low or (below is not None and not value < below):
            limits = ["a positive number" if above == 0 else f"a number above {above:g}"] if above is not None else []
            limits += [f"{least:g} or more"] if least is not None else []
            limits += [f"below {below:g}"] if below is not None else []
            raise ValueError(f"{words} {value:g}{' ' * bool(unit)}{unit}: expected {' and '.join(limits)}")
        return value

    return BeforeValidator(refuse_bool), AfterValidator(check)


def written(parse: Callable[[str], Any], kind: Any = str) -> BeforeValidator:
    """A validator that takes ``kind``, and text as ``parse`` reads it."""

    def read(value: Any) -> Any:
        return _as_value_error(parse, value) if isinstance(value, str) else value

    return BeforeValidator(read, json_schema_input_type=kind | str | None)


def each(parse: Callable[[str], Any]) -> AfterValidator:
    """A validator of a sequence of texts that ``parse`` must understand; they stay as they are written."""

    def check(values: Sequence[str]) -> Sequence[str]:
        for value in values:
            _as_value_error(parse, value)
        return values

    return AfterValidator(check)


def _as_value_error(parse: Callable[[str], Any], value: str) -> Any:
    try:
        return parse(value)
    except RhoTEMError as error:
        raise ValueError(re.sub(r"\s+", " ", str(error))) from None


def option_of(section: type[BaseModel], key: str) -> Option | None:
    """The option of a key, if it has one."""
    return next((item for item in section.model_fields[key].metadata if isinstance(item, Option)), None)
