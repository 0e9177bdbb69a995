"""Checks that a wheel holds everything the package needs at run time: ``check_wheel.py WHEEL``."""

import sys
import zipfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
#: Size of a wheel, MB.
LARGEST = 15.0


def main(wheel: str) -> int:
    """Compare the wheel's files with the source tree; 1 and a list if they differ or nothing starts it."""
    archive = zipfile.ZipFile(wheel)
    packed = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    wanted = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    for name in sorted(wanted - packed):
        print(f"missing in the wheel: {name}")
    for name in sorted(packed - wanted):
        print(f"only in the wheel: {name}")
    meta = next(name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
    starts = "rhotem = rhotem.cli.main:run" in archive.read(meta).decode()
    if not starts:
        print("the wheel does not install the command rhotem")
    licensed = any("/licenses/LICENSE" in name for name in archive.namelist())
    if not licensed:
        print("the wheel does not carry the licence")
    size = Path(wheel).stat().st_size / 1e6
    print(f"{Path(wheel).name}: {len(packed)} files, {size:.1f} MB")
    if size > LARGEST:
        print(f"the wheel is larger than {LARGEST:g} MB")
    return 0 if packed == wanted and starts and licensed and size <= LARGEST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
