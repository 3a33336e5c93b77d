"""Ask pip-audit which installed packages have a known weakness: `make audit`.

Exit code 1 with a line each for those that `EXPLAINED` does not explain. Where the service cannot be reached, or knows
none of the packages, the audit is skipped and says so: nothing found is no news if nothing was asked.
"""

import json
import subprocess
import sys

# What is known and does not touch the course, each with its reason; a line goes when pip-audit no longer reports it.
EXPLAINED: dict[str, str] = {}


def audited() -> tuple[list[dict], str]:
    """What pip-audit says of each package; or nothing, and why."""
    command = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--format", "json", "--timeout", "20"]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return [], said[-1] if said else f"pip-audit ended with {done.returncode}"
    known = [each for each in packages if "vulns" in each]
    return known, "" if known else f"the service knows none of {len(packages)} packages"


def main() -> int:
    """Print what is found; returns the exit code."""
    packages, fault = audited()
    if fault:
        print(f"audit: skipped, {fault}")
        return 0
    found = [(package, weakness) for package in packages for weakness in package["vulns"]]
    open_ones = 0
    for package, weakness in found:
        names = {weakness["id"], *weakness.get("aliases", ())}
        reason = next((EXPLAINED[name] for name in sorted(names) if name in EXPLAINED), None)
        mended = ", ".join(weakness["fix_versions"]) or "no version yet"
        open_ones += reason is None
        print(f"{package['name']} {package['version']}: {weakness['id']}, {reason or f'mended in {mended}'}")
    print(f"audit: {len(packages)} packages, {len(found)} known weaknesses, {open_ones} to be seen to")
    return int(open_ones > 0)


if __name__ == "__main__":
    sys.exit(main())
