"""`python -m tests.conformance.accept` takes the tools as they are now for the contract."""

from __future__ import annotations

from tests.conformance import contract


def main() -> None:
    contract.FOLDER.mkdir(exist_ok=True)
    now = {contract.path(tool): contract.snapshot(tool) for tool in contract.tools()}
    for old in contract.FOLDER.glob("*.json"):
        if old not in now:
            old.unlink()
    for path, text in now.items():
        path.write_text(text, encoding="utf-8")
        print(path.name)


if __name__ == "__main__":
    main()
