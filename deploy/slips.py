"""Log in with the name and password of a paper slip, for a class without accounts. See docs/jupyterhub.md.

    python deploy/slips.py names.txt slips.json >slips.txt     # a slip a line: name, password; the hub gets slips.json

The hub keeps hashes alone (scrypt, a salt each). Nobody can sign up, and so nobody can take the
teacher's name.
Names that have a slip already keep it; take one out of slips.json to make it anew.
"""

import hashlib
import json
import os
import re
import secrets
import sys
from pathlib import Path

from jupyterhub.auth import Authenticator
from traitlets import Unicode

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike


def digest(password: str, salt: str) -> str:
    """The hash of a password; slow on purpose."""
    return hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1).hex()


class SlipAuthenticator(Authenticator):
    """Lets in whoever has a slip. The file is read at every log-in, so new slips count at once."""

    slips = Unicode("slips.json", config=True, help="the file that this program wrote")

    async def authenticate(self, handler: object, data: dict[str, str]) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The name, if the password is that of its slip."""
        name = self.normalize_username(data["username"])
        known = json.loads(Path(self.slips).read_text(encoding="utf-8"))
        slip = known.get(name, {"salt": "00", "hash": ""})  # an unknown name takes as long as a known one
        right = secrets.compare_digest(digest(data["password"], slip["salt"]), slip["hash"])
        return name if right else None


def write_slips(names: list[str], path: Path) -> dict[str, str]:
    """Make slips for names that have none yet; their passwords. The file is written whole, for its owner alone.

    Raises:
        ValueError: a name that the hub would not take.
    """
    bad = [name for name in names if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name)]
    if bad:
        raise ValueError(f"not a name for the hub: {bad[0]!r}. Use a letter, then letters, digits and -, all small.")
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    made = {name: "".join(secrets.choice(LETTERS) for _ in range(12)) for name in names if name not in known}
    for name, password in made.items():
        salt = secrets.token_hex(16)
        known[name] = {"salt": salt, "hash": digest(password, salt)}
    neighbour = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(neighbour, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(known, file, indent=1)
    os.replace(neighbour, path)
    return made


def main(arguments: list[str]) -> None:
    """The command."""
    if len(arguments) != 2:
        sys.exit("usage: python deploy/slips.py names.txt slips.json >slips.txt")
    try:
        lines = Path(arguments[0]).read_text(encoding="utf-8").split("\n")
        made = write_slips([line.strip() for line in lines if line.strip()], Path(arguments[1]))
    except (OSError, ValueError) as error:
        print(f"slips.py: {error}", file=sys.stderr)
        sys.exit(2)
    for name, password in made.items():
        print(f"{name}\t{password}")


if __name__ == "__main__":
    main(sys.argv[1:])
