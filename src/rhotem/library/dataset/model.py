"""`DatasetPlan`: labelled pictures as data, what they show, how they were recorded, who is trained on them."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from rhotem.analysis.plan.problems import At
from rhotem.analysis.plan.section import Section, number
from rhotem.library.campaign.model import _name
from rhotem.library.dataset.pictures import Pictures, several

#: Version of the format.
FORMAT = 1


def _version(value: Any) -> Any:
    if value != FORMAT or isinstance(value, bool):
        raise ValueError(f"format {value!r}: this version of RhoTEM reads plans of data sets of format {FORMAT}")
    return value


def _recipe(value: str) -> str:
    from rhotem.library.dataset.recipes import recipes

    if value not in recipes():
        raise ValueError(f"recipe {value!r}: no such recipe; choose one of {', '.join(recipes())}")
    return value


def _symbols(value: tuple[str, ...]) -> tuple[str, ...]:
    from ase.data import chemical_symbols

    unknown = [symbol for symbol in value if symbol not in chemical_symbols[1:]]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no element; name elements, [Fe, Sr]")
    return value


Elements = Annotated[tuple[str, ...], BeforeValidator(several), AfterValidator(_symbols)]


class Split(Section):
    """Which chemistries are kept from training: a structure that has one of these elements belongs there."""

    test: Elements = Field((), description="Elements of the pictures that nothing is fitted to.")
    validation: Elements = Field((), description="Elements of the pictures that training is watched by; after test.")

    @model_validator(mode="after")
    def _once(self) -> Self:
        if both := sorted(set(self.test) & set(self.validation)):
            raise At(("split", "validation"), f"{', '.join(both)}: kept for the test already; name it once")
        return self

    def of(self, elements: tuple[str, ...]) -> str:
        """Where a structure belongs."""
        if set(self.test) & set(elements):
            return "test"
        return "validation" if set(self.validation) & set(elements) else "train"


class DatasetPlan(Section):
    """Labelled pictures of everything that some campaigns simulate."""

    model_config = ConfigDict(populate_by_name=True)

    rhotem_dataset: Annotated[int, BeforeValidator(_version)] = Field(
        FORMAT, alias="rhotem-dataset", description="Version of this format."
    )
    name: Annotated[str, AfterValidator(_name)] = Field(description="What the data set is called.")
    recipe: Annotated[str, AfterValidator(_recipe)] = Field(
        "columns", description="What the pictures are labelled with."
    )
    campaigns: Annotated[tuple[str, ...], BeforeValidator(several)] = Field(
        min_length=1, description="Plans of campaigns: structures, zones, thicknesses, what responses hold."
    )
    pictures: Pictures = Field(default_factory=Pictures, description="How pictures are recorded.")
    split: Split = Field(default_factory=Split, description="Chemistries kept from training.")
    seed: Annotated[int, *number("seed", least=0)] = Field(0, description="Of everything that is drawn.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        from rhotem.library.dataset.recipes import recipes

        recipes()[self.recipe].check(self.pictures)
        return self
