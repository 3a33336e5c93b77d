"""Write the pictures of the course in a browser that README shows, from what the browser tests kept.

python -m pytest tests/browser && python tests/browser/images.py
"""

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "browser"
SHOWN = ROOT / "docs" / "images"
CHOSEN = {"exercise": "lesson_00_passed", "explorer": "depth_and_skip", "photo": "upload"}
LARGEST = 150_000  # bytes


def shrink(source: Path, target: Path) -> None:
    """Save a screenshot with as many colours as fit.

    Raises:
        ValueError: not even 32 colours fit.
    """
    picture = Image.open(source).convert("RGB")
    for colours in (256, 128, 64, 32):
        picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size <= LARGEST:
            return
    raise ValueError(f"{target} has {target.stat().st_size} bytes, {LARGEST} are allowed. Take a smaller window.")


if __name__ == "__main__":
    for name, kept in CHOSEN.items():
        shrink(KEPT / f"{kept}.png", SHOWN / f"{name}.png")
