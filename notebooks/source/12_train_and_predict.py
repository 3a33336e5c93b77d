# %% [markdown]
# # 12 · Train and predict: from a folder of photos to answers
#
# You have a folder of photos, a name for each, and want a net that names the next one. This lesson goes the whole way, first
# with photos that it takes itself, then with yours. The code is short. What needs care is the folder: the first net of this
# lesson looks very good, and it is not.
#
# After this lesson you can
#
# * prepare a folder, and read what the course's loader says of broken, huge and duplicate files;
# * train from a notebook or from the command line with one and the same recipe, stop, go on, and get the same net;
# * split photos so that the test error is worth something;
# * read a confusion matrix, and let the net say "not sure" below a threshold that you chose by a measurement;
# * find photos with a wrong label.
#
# **Minutes:** 30 reading, 35 more for the exercises · 1 running quick · 1 running full

# %% tags=["setup"]
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image, ImageEnhance
from torch import Tensor

import resnet_edu as edu
from resnet_edu.data.pictures import View, read_photo
from resnet_edu.run import evaluate_run, open_run

temporary = TemporaryDirectory(prefix="resnet-edu-", ignore_cleanup_errors=True)
work = Path(temporary.name)  # all that this lesson writes; gone when the kernel ends
os.environ["RESNET_EDU_DATA"] = str(work / "cache")  # the decoded pictures too
print(edu.setup(seed=0))
print("data       photos that come with scikit-image, scikit-learn and matplotlib")

# %% [markdown]
# ## An album
#
# We need photos of eight kinds of things, many of each. So we go and take some. The eight large photos of the course are the
# places; a "shot" is a small part of one of them, a little larger or smaller, a little brighter or darker. As with a real
# camera, shots come in *sessions*: you stand somewhere and press the button six times. Each session has a sixth of the place
# to itself, so shots of two sessions never overlap.


# %%
import random


def shoot(rng: random.Random, picture: Image.Image, place: int) -> Image.Image:
    """A shot of 96×96 pixels somewhere in one of the six parts of a picture."""
    width, height = picture.width / 3, picture.height / 2
    side = 0.85 * min(width, height) * rng.uniform(0.9, 1.1)
    left = place % 3 * width + rng.uniform(0, width - side)
    top = place // 3 * height + rng.uniform(0, height - side)
    shot = picture.resize((96, 96), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return ImageEnhance.Brightness(shot).enhance(rng.uniform(0.85, 1.15))


shoot(random.Random(0), read_photo(edu.data.photo("cat")), 1)


# %%
def take_album(folder: Path, photos: dict[str, Path], *, shots: int, seed: int) -> None:
    """Write `folder/CLASS/CLASS-SESSION-NUMBER.jpg`, six sessions of each class."""
    rng = random.Random(seed)
    for name, path in photos.items():
        (folder / name).mkdir(parents=True)
        picture = read_photo(path)
        for session, place in enumerate(rng.sample(range(6), 6), start=1):
            for number in range(1, shots + 1):
                shoot(rng, picture, place).save(folder / name / f"{name}-{session}-{number}.jpg", quality=90)


album = work / "album"
take_album(album, edu.data.photos(), shots=6, seed=0)
files = sorted(album.glob("*/*.jpg"))
classes = sorted(folder.name for folder in album.iterdir())
print(f"{len(files)} files in {len(classes)} folders: {', '.join(classes)}")

# %%
firsts = [album / name / f"{name}-{session}-1.jpg" for name in classes for session in (1, 2, 3, 4, 5, 6)]
pixels = torch.stack([torch.frombuffer(bytearray(read_photo(path).tobytes()), dtype=torch.uint8) for path in firsts])
edu.plots.image_grid(
    pixels.view(-1, 96, 96, 3).permute(0, 3, 1, 2),
    [path.stem.removesuffix("-1").replace("grace_hopper", "hopper") for path in firsts],
    columns=12, side=0.85, title="One shot of each session: class and session",
)  # fmt: skip

# %% [markdown]
# One folder for each class, and the folder's name is the label: that is all the preparation the loader asks for.
#
# People who sort photos make mistakes. So we make some too: three photos go into a wrong folder. Remember them for later.

# %%
swapped = {"cat-2-3.jpg": "coffee", "rocket-1-2.jpg": "flower", "temple-4-5.jpg": "cat"}
for name, wrong in swapped.items():
    shutil.move(album / name.split("-")[0] / name, album / wrong / name)
    print(f"album/{wrong}/{name}")
files = sorted(album.glob("*/*.jpg"))

# %% [markdown]
# ## The data set-up
#
# `edu.data.load` makes every photo into the same frame. You choose the frame's width `x` and height `y`, grey or colour, and what
# happens to photos of another shape: `crop="center"`, the default, cuts out the middle, `"none"` squeezes them, and `"objects"` cuts
# out what a detector finds. The detector has weights of its own, so it only runs when you have fetched them. A *view* is one such choice:

# %%
views = {
    "center": View(64, 64),
    "none": View(64, 64, crop="none"),
    "objects": View(64, 64, crop="objects", find=edu.models.detected_box),
    "grey": View(64, 64, channels=1),
    "32×32": View(32, 32),
    "16×16": View(16, 16),
}
frames = {}
for name, view in views.items():
    try:
        frame = torch.from_numpy(view.of(edu.data.photo("coffee")).copy()).permute(2, 0, 1)  # (C, y, x)
        frames[name] = frame.expand(3, -1, -1).repeat_interleave(64 // view.width, 2).repeat_interleave(64 // view.height, 1)  # fmt: skip
    except edu.errors.DatasetUnavailable as error:
        print(f"{name}: the detector's weights are not here. {str(error).partition('. ')[2]}")

# %%
edu.plots.image_grid(
    torch.stack([*frames.values()]),
    list(frames),
    columns=6,
    side=1.3,
    title="The frame decides what is left of a photo",
)

# %% [markdown]
# The frame decides what can be learned, and what it costs: half the side is about a quarter of the work. We take 32×32, so
# that every training run below lasts seconds. For photos of your own begin with 64, and try 128 when all else works.
#
# ### What lies in real folders
#
# Real folders hold files whose download stopped half way, a text called .jpg, an enormous panorama. Let us make such a
# folder, and look at what the loader says.


# %%
def begin(folder: Path, album: Path) -> None:
    """Three sessions of two classes, one for each part."""
    for part, session in (("train", 1), ("val", 3), ("test", 2)):
        for path in [*album.glob(f"cat/*-{session}-*"), *album.glob(f"coffee/*-{session}-*")]:
            (folder / part / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / part / path.parent.name)


spoilt = work / "spoilt"
begin(spoilt, album)
cat = spoilt / "train" / "cat"
print(f"{len(list(spoilt.rglob('*.jpg')))} good photos")


# %%
def add_rubbish(cat: Path) -> None:
    """Files that no net should see."""
    whole = (cat / "cat-1-1.jpg").read_bytes()
    (cat / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (cat / "empty.jpg").touch()
    (cat / "text.jpg").write_text("not a picture")
    (cat / "notes.txt").write_text("sunny, 1/250 s")
    Image.new("L", (4, 3)).save(cat / "tiny.png")
    Image.new("1", (10_000, 9_000)).save(cat / "bomb.png")  # a small file that fills the memory
    Image.effect_noise((1200, 1200), 90).save(cat / "large.png")


add_rubbish(cat)
print(
    f"{sum(path.is_file() for path in spoilt.rglob('*'))} files; bomb.png has {(cat / 'bomb.png').stat().st_size / 1e3:.0f} kB"
)

# %%
with Image.open(cat / "cat-1-2.jpg") as picture:
    picture.save(cat / "a-png-in-truth.jpg", format="PNG")
with Image.open(cat / "cat-1-3.jpg") as picture:
    picture.resize((60, 60)).save(spoilt / "test" / "cat" / "smaller-twin.webp", quality=80)
shutil.copy(album / "coffee" / "coffee-4-1.jpg", cat / "wrong-label.jpg")
data = edu.data.load(spoilt, size=32, max_megabytes=1)
print(data.source.replace(f"{work}/", ""), *data.notes, sep="\n")

# %%
told = " ".join(data.notes)
skipped = ("half.jpg", "empty.jpg", "text.jpg", "notes.txt", "tiny.png", "bomb.png", "large.png")
assert all(name in told for name in (*skipped, "smaller-twin.webp"))
assert "a-png-in-truth.jpg" not in told, "the content counts, not the ending"
assert "wrong-label.jpg" not in told, "no loader can know what a photo shows"
try:
    edu.data.load(spoilt, size=32, strict=True)
except edu.errors.UnreadablePicture as error:
    print(str(error).replace(f"{work}/", ""))

# %% [markdown]
# Seven files are left out, each with its reason, and the rest is used. (`strict=True` refuses the whole folder, for those who
# want it clean.) The PNG with the ending of a JPEG is read. One photo stands in training and test, smaller and in another
# format, and the loader found it: it compares miniatures. It said nothing of the coffee among the cats. It cannot know what a
# photo shows. We come back to that.
#
# ## The net set-up
#
# A *recipe* holds all that decides a run: data, net and training. This one begins with the bundled ResNet-18, which has
# learned the ten classes of CIFAR-10, and fine-tunes all of it (lesson 10 says why).


# %%
def recipe_for(folder: Path | str, *, seed: int = 0, **changes: object) -> edu.Recipe:
    """Fine-tune the bundled ResNet-18 on a folder, at 32×32 pixels."""
    frame = {"x": 32, "y": 32, "channels": 3, "crop": "none"}
    training = {"epochs": 5, "batch_size": 16, "optimizer": "adamw", "lr": 0.001, "augment": ["flip", "colour"]}
    network = {"model": "resnet18", "pretrained": "bundled", "head_first": False, "backbone_lr": 0.001}
    return edu.Recipe.from_dict({"data": str(folder), **frame, **network, **training, "seed": seed, **changes})


recipe = recipe_for(album)
print(recipe_for("./album").to_toml())

# %% [markdown]
# This is a file in the format TOML, one option a line, and behind it what the option means. The command line has the same
# options by the same names. `augment` takes any of crop, resized_crop, flip, rotation and colour; `model` takes the name of a
# net, or the depth of a ResNet. An option that does not exist, or a value that makes no sense, is refused at once and not after
# an hour of training:

# %%
wrong = (
    {"model": 35},
    {"augment": ["rotate"]},
    {"learning_rate": 0.1},
    {"epochs": 0},
    {"pretrained": "none", "frozen": True},
)
for change in wrong:
    try:
        edu.Recipe.from_dict({**recipe.to_dict(), **change})
        raise AssertionError(f"{change} should be refused")
    except ValueError as error:
        print(f"{change}\n    {error}")

# %%
with torch.device("meta"):  # shapes without numbers: nothing is computed
    family = {depth: edu.models.build(f"resnet{depth}", num_classes=8) for depth in (18, 34, 50, 101, 152, 200)}
for depth, model in family.items():
    print(f"resnet{depth:<4}{sum(parameter.numel() for parameter in model.parameters()) / 1e6:5.1f} million parameters")

# %% [markdown]
# ## Train
#
# A run has a folder of its own. The loader cuts each class at random into training, validation and test photos: 70, 10 and 20 %.


# %%
def show(epoch: edu.Epoch, model: object) -> None:
    """A line an epoch. A run looks at the validation photos after each; the test photos wait for the end."""
    print(f"epoch {epoch.epoch}: training error {epoch.train_error:4.1f} %, validation error {epoch.val_error:4.1f} %")


first = edu.Run.start(recipe, work / "run-1")
prepared = []
by_file = first.train(callbacks=(show,), told=prepared.append)
plan = prepared[0].plan()
easy = first.report()
print(plan["data"].replace(f"{work}/", ""), plan["weights"], sep="\n")
print(f"test error: {easy['test_error']:.1f} %")

# %% [markdown]
# Eight classes, 36 photos of each, seconds of training, and an error that one would gladly report. Before you do:
#
# > **Think first.** The test photos were drawn at random from all. What do you expect on photos of a *new* session?
#
# A test photo from session 3 has sisters in the training set, taken from the same spot a moment before. The net need not know
# what a temple looks like; it is enough to know these tiles of this roof. The loader's search for twins is of little help. It
# names what looks alike even as a miniature, and lets the other sisters pass. The remedy is to deal out whole sessions and
# not files. You write it; then we measure what it changes.
#
# ### Exercise 12.1 · Prepare a folder
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# File names are `CLASS-SESSION-NUMBER.jpg`. Return a dict from each name to its place, `train/CLASS/NAME` or
# `test/CLASS/NAME`. In each class, sort the sessions by number. Out of every group of `every` sessions the last goes to the
# test. With `every=2` and sessions 3, 5, 8, 11 these are 5 and 11.
#
# <details><summary>Hint 1</summary>
#
# `kind, session, number = name.split("-")`, and `int(session)`: as text, "10" comes before "9".
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Collect a set of sessions for each class. `sorted(found)[every - 1 :: every]` are those for the test.
#
# </details>


# %% tags=["exercise"]
def split_sessions(names: list[str], every: int) -> dict[str, str]:
    """Where each file goes: no session in two parts."""
    ### BEGIN SOLUTION
    sessions: dict[str, set[int]] = {}
    for name in names:
        kind, session, _ = name.split("-")
        sessions.setdefault(kind, set()).add(int(session))
    plan = {}
    for name in names:
        kind, session, _ = name.split("-")
        held_out = sorted(sessions[kind])[every - 1 :: every]
        plan[name] = f"{'test' if int(session) in held_out else 'train'}/{kind}/{name}"
    return plan
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_split_sessions(split_sessions)

# %% [markdown]
# ## The honest folder
#
# The same photos, all with their right names, dealt out by session: 3 and 6 for the test, 5 for validation. Validation needs
# a session of its own too. Otherwise, what you choose by it, such as a threshold, is chosen on what the net knows by heart.

# %%
honest = work / "by-session"
for path in files:
    session = int(path.stem.split("-")[1])
    place = honest / {3: "test", 6: "test", 5: "val"}.get(session, "train") / path.stem.split("-")[0]
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, place)
print({part: len(list((honest / part).glob("*/*.jpg"))) for part in ("train", "val", "test")})

# %% [markdown]
# This time something happens on the way. After the second epoch somebody presses the stop button. Here a callback does it, a
# function that the training calls after every epoch.


# %%
def stop_after_two(epoch: edu.Epoch, model: object) -> None:
    """What Ctrl-C and the notebook's stop button do."""
    if epoch.epoch == 2:
        raise KeyboardInterrupt


run = edu.Run.start(recipe_for(honest), work / "run-2")
stopped = run.train(callbacks=(show, stop_after_two))
print(
    f"interrupted: {stopped.interrupted}. In the folder: {', '.join(sorted(p.name for p in run.folder.glob('[a-z]*')))}"
)
assert stopped.interrupted
assert run.report() is None

# %% [markdown]
# The weights, the optimizer's memory and the state of the random numbers stand in `checkpoint.safetensors`, which is replaced
# after every epoch. The run goes on from there, in this notebook or another one, tomorrow or after a power cut:

# %%
by_session = edu.Run.open(run.folder).train(callbacks=(show,))
report = run.report()
print(f"test error by session: {report['test_error']:.1f} %; by file it was {easy['test_error']:.1f} %")
assert len(by_session) == 5
assert report["test_error"] > easy["test_error"] + 15, "new sessions are much harder than new files"

# %%
edu.plots.learning_curves(
    {"dealt out by file": by_file, "by session": by_session},
    title="Dealt out by session, the validation error is far higher",
)

# %% [markdown]
# Both nets learn their training photos. What they know of the rest is another matter. The error by session is the one to
# report. The one by file said mostly how well the net remembers. (The comparison is not quite even: by session the net had
# fewer photos to learn from, 144 against 200, though all with the right name. To see how much that matters, train by file on
# a copy of the album without every fourth photo.)
#
# Our places make it hard, since a new session of the temple may show little but sky. With photos of your own the gap may be
# smaller. You will know when you have measured it. There, a session is a day, a place, a person, a burst of the camera:
# whatever will be new when the net is used.
#
# ## What a run leaves behind

# %%
for path in sorted(run.folder.glob("[a-z]*")):
    print(f"{path.name:<20}{path.stat().st_size / 1e3:>9,.1f} kB")
elsewhere = shutil.copytree(run.folder, work / "on-another-machine")
network = open_run(elsewhere)
print(f"knows {', '.join(network.categories)}")

# %% [markdown]
# `network.json` and `weights.safetensors` are all that prediction needs. Neither is a *pickle*, Python's own format for
# saving objects, which can run foreign code when it is opened. The view and the normalisation travel along, so a photo
# becomes the same tensor as in training. Now name some files. `top` is the number of labels:

# %%
unseen = [honest / "test" / name / f"{name}-3-1.jpg" for name in ("rocket", "cat", "astronaut")]
for prediction in edu.predict(elsewhere, unseen, top=3):
    print(prediction)
assert [str(a) for a in edu.predict(run.folder, unseen)] == [str(b) for b in edu.predict(elsewhere, unseen)]

# %% [markdown]
# ## The same from the command line
#
# Without a notebook, write the recipe to a file, and type
#
# ```text
# resnet-edu train --config album.toml --out run-3
# resnet-edu predict run-3 photo.jpg --top 2 --csv
# ```

# %%
import subprocess
import sys

(work / "album.toml").write_text(recipe_for(honest).to_toml(), encoding="utf-8")
quiet = {**os.environ, "RESNET_EDU_QUIET": "1"}
train = [sys.executable, "-m", "resnet_edu", "train", "--config", "album.toml", "--out", "run-3"]
done = subprocess.run(train, cwd=work, env=quiet, capture_output=True, encoding="utf-8", check=True)
print(done.stdout.replace(f"{work}/", ""))

# %%
same = edu.Run.open(work / "run-3").report()["confusion"] == report["confusion"]
ours, theirs = (open_run(folder).model.state_dict() for folder in (run.folder, work / "run-3"))
gap = max(float((ours[name].float() - theirs[name].float()).abs().max()) for name in ours)
curves = [(work / folder / "history.csv").read_text().splitlines() for folder in ("run-2", "run-3")]
errors = [[line.split(",")[1:5] for line in lines] for lines in curves]  # without rates and seconds
print(f"largest difference of {sum(value.numel() for value in ours.values()):,} numbers: {gap}")
print(f"same losses and errors in each epoch: {errors[0] == errors[1]}; same confusion matrix: {same}")
assert gap == 0
assert errors[0] == errors[1]
assert same

# %% [markdown]
# Not a single weight differs. One run was stopped and resumed in a notebook, the other went through in a process of its own.
# On one machine a seed fixes the split, the order of the photos, the augmentation and the new head's first weights. On other
# hardware the last digits of sums can differ, and with them the weights.

# %%
ask = [sys.executable, "-m", "resnet_edu", "predict", "run-3", *(str(path.relative_to(work)) for path in unseen)]
done = subprocess.run(
    [*ask, "--top", "2", "--csv"], cwd=work, env=quiet, capture_output=True, encoding="utf-8", check=True
)
print(done.stdout)

# %% [markdown]
# ## Evaluate
#
# One number hides where the net is wrong. A *confusion matrix* has a row for each class that the photos show, and a column
# for each answer.

# %%
metrics, images = evaluate_run(run.folder)
title = f"{metrics.top1_error:.0f} % of {int(metrics.confusion.sum())} photos of new sessions are named wrongly"
edu.plots.confusion_matrix(metrics.confusion, classes, title=title)

# %% [markdown]
# Read a row with the pictures of the overview beside it. Sessions 3 and 6 of the temple, those held back for the test, show a
# white sky and dark bushes. Sessions 1, 2 and 4, those in training, show roofs. So the net has hardly seen what it is asked
# about, and what it says instead stands in the temple's row.
#
# Two questions, two ways to divide the number on the diagonal. *Recall* divides by the row: of all photos of a class, how
# many are found? *Precision* divides by the column: when the net says this class, how often is it right?

# %%
hits = metrics.confusion.diagonal()
recall, precision = 100 * hits / metrics.confusion.sum(1), 100 * hits / metrics.confusion.sum(0)
for name, found, believed in zip(classes, recall.tolist(), precision.tolist(), strict=True):
    print(f"{name:>13}: recall {found:5.1f} %   precision {believed:5.1f} %")
assert max(recall) - min(recall) > 40, "the mean hides much: classes differ"
assert all(
    abs(report["right_by_class"][name] - found) < 1e-3 for name, found in zip(classes, recall.tolist(), strict=True)
)

# %% [markdown]
# ### Exercise 12.2 · Read the confusion matrix
#
# **Difficulty** ●●○○○ · **10 minutes**
#
# Return three things: the class with the lowest recall, the class with the lowest precision, and the mistake made on the most
# photos as a pair `(shown, said)`. A class without photos has no recall, and an answer never given has no precision: leave
# these out.
#
# <details><summary>Hint 1</summary>
#
# `confusion.sum(dim=1)` adds up each row. 0 / 0 is `nan`, and `tensor.nan_to_num(2)` makes it a number that is never the
# smallest share.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# For the pair, work on `confusion.clone().fill_diagonal_(0)`. `divmod(int(wrong.argmax()), len(classes))` is row and column.
#
# </details>


# %% tags=["exercise"]
def read_confusion(confusion: Tensor, classes: list[str]) -> tuple[str, str, tuple[str, str]]:
    """Class of least recall, class of least precision, most frequent mistake (shown, said)."""
    ### BEGIN SOLUTION
    recall = (confusion.diagonal() / confusion.sum(dim=1)).nan_to_num(2)
    precision = (confusion.diagonal() / confusion.sum(dim=0)).nan_to_num(2)
    wrong = confusion.clone().fill_diagonal_(0)
    shown, said = divmod(int(wrong.argmax()), len(classes))
    return classes[int(recall.argmin())], classes[int(precision.argmin())], (classes[shown], classes[said])
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_read_confusion(read_confusion)

# %% [markdown]
# ## When to believe it
#
# The net always answers, and gives a percentage with each answer. So demand a minimum, and let it say "not sure" below. Two
# numbers describe such a threshold: the share of photos that still get an answer, the *coverage*, and the share of
# these answers that are right, which is the *precision* of all classes together.


# %%
def answers(network: edu.models.Pretrained, files: list[Path]) -> tuple[Tensor, Tensor]:
    """How sure the net is of its best label in percent, and whether this is the name of the file's folder."""
    best = [(prediction.top[0], prediction.file.parent.name) for prediction in edu.predict(network, files, top=1)]
    return torch.tensor([percent for (_, percent), _ in best]), torch.tensor(
        [said == shown for (said, _), shown in best]
    )


measured = {part: answers(network, sorted((honest / part).glob("*/*.jpg"))) for part in ("val", "test")}
sure, right = measured["test"]
print(f"test: {sure.mean():.0f} % sure on average, {100 * right.float().mean():.0f} % right")
# %% [markdown]
# Compare the two numbers. Modern nets tend to be more sure than right (Guo et al. 2017). And even if the two were equal, that
# would be true on average and not of each single answer. The percentages are shares of the eight answers that the net knows.
# So do not take a threshold for a probability. Measure what it does, on the validation photos.
#
# ### Exercise 12.3 · Pick a threshold
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# `confidence` holds percentages or shares, and `right` says which answers were right. A photo gets an answer if its
# confidence is at least the threshold. Return the lowest threshold, out of the confidences, at which at least `precision`
# percent of the answers are right; `float("inf")` if there is none.
#
# <details><summary>Hint 1</summary>
#
# Try every confidence as a threshold: `answered = confidence >= threshold` and then `right[answered].float().mean()`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Do not stop at the first that fails: on the way down the precision falls and rises again.
#
# </details>


# %% tags=["exercise"]
def pick_threshold(confidence: Tensor, right: Tensor, precision: float) -> float:
    """The threshold that answers the most photos with so many percent right."""
    ### BEGIN SOLUTION
    fine = []
    for threshold in confidence.tolist():
        if 100 * right[confidence >= threshold].float().mean() >= precision:
            fine.append(threshold)
    return min(fine, default=float("inf"))
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_pick_threshold(pick_threshold)

# %% [markdown]
# Here is a threshold in use. On the validation photos, 75 % of the answers are to be right.

# %%
on_val, right_val = measured["val"]
fine = [t for t in on_val.tolist() if 100 * right_val[on_val >= t].float().mean() >= 75]
threshold = min(fine, default=60.0)
named = {"validation": measured["val"], "test": measured["test"]}
edu.plots.precision_and_coverage(named, threshold=threshold, title="Fewer answers, better ones")

# %%
promised = 100 * right_val[on_val >= threshold].float().mean()
print(f"validation: {promised:.0f} % of the answers from {threshold:.1f} % on are right")
for limit in (0, threshold, 60):
    kept = sure >= limit
    print(
        f"at {limit:4.1f} %: {100 * kept.float().mean():3.0f} % of the test photos get an answer, {100 * right[kept].float().mean():3.0f} % of these are right"
    )
assert right[sure >= 60].float().mean() > right.float().mean() + 0.03, "sure answers are better ones"

# %% [markdown]
# A threshold buys better answers at the price of fewer. It need not keep the promise of the validation photos: eight sessions
# chose it, sixteen others test it, and no two are alike. Report what the test photos say, and look at those once.
#
# ## Photos with a wrong label
#
# Back to the three photos in wrong folders. Where one of them fell into the training part of the first net, it was told the
# wrong name in each of five epochs. But most of what it learned, it learned from the other photos. Ask it about every photo
# of the album, and sort: where does it give the folder's name the lowest percentage?

# %%
judged = edu.predict(first.folder, files, top=len(classes))
judged.sort(key=lambda prediction: dict(prediction.top)[prediction.file.parent.name])
print(f"{len(judged)} photos; the least trusted name gets {dict(judged[0].top)[judged[0].file.parent.name]:.1f} %")

# %%
for prediction in judged[:8]:
    (said, percent), folder = prediction.top[0], prediction.file.parent.name
    print(f"{prediction.file.name:>20} in {folder:<13} the net says {said} ({percent:.0f} %)")
ranks = [rank for rank, each in enumerate(judged, start=1) if each.file.name in swapped]
print(f"the three are number {ranks} of {len(judged)}")
assert ranks[1] <= 20, "look at 20 photos, find two of the three or more"

# %% [markdown]
# Go through such a list from the top, by eye, and mend what is wrong. The net only says where to look, and it may have
# learned a wrong label by heart. The safer way is to cut the folder into parts and to ask, for each part, a net that was
# trained on the others (Northcutt et al. 2019).
#
# ## Now your own photos
#
# Make a folder with one folder of photos for each class, write its path into `own`, and run the cell. Fifty photos of each
# class are a good start. Mind the sessions: `train`, `val` and `test` as folders above the classes keep them apart. The run
# goes to the folder `my-run` beside this notebook.

# %%
own = ""  # "~/Pictures/pets"
if own:
    mine = edu.Run.start(edu.Recipe(data=own), Path("my-run"))
    mine.train(callbacks=(show,), told=lambda begin: print(begin.plan()))
    print(mine.report()["right_by_class"])
print(f"own photos: {own or 'none yet'}")

# %% [markdown]
# ### Explore: upload a photo
#
# Upload any photo. You see the frame that the net gets, its answers, and where Grad-CAM (lesson 11) finds the evidence for
# the best one. Move the threshold. Then try a photo of something that is none of the classes. Does a threshold help there?

# %% tags=["explorer"]
edu.widgets.naming_explorer(network, edu.data.photos())

# %% [markdown]
# Where widgets do not run, here are a photo that it was trained on, one of a new session, and two things that belong to no
# class. The dashed line is the threshold.

# %%
digit = edu.data.load("mnist5k", limit=10).test.images[0, 0].numpy()
noise = Image.effect_noise((96, 96), 90).convert("RGB")
shown = {"trained on": read_photo(honest / "train" / "cat" / "cat-1-1.jpg"), "new session": read_photo(unseen[2])}
shown |= {"a digit": Image.fromarray(digit).convert("RGB"), "noise": noise}
edu.plots.named_photos(network, shown, top=3, threshold=threshold)

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "A random tenth or fifth of the files is a fair test." | The same photos by file and by session | **Wrong** where photos come in bursts. |
# | "A search for duplicates prevents that." | Count the test photos that it finds. Nearly every test photo has a sister in training: of the 35 other photos of its class 25 are there, and all five sisters are among the other 10 with a chance of about one in 1,300 | **Half right.** It finds copies, and hardly any of the sisters. |
# | "A threshold turns away what the net does not know." | 200 digits, which are none of its classes | **Wrong** here. It is more than half sure of many digits. |
# | "An interrupted training run is lost." | Stop, go on, compare with a run that went through | **Wrong.** Every weight is the same. |

# %%
loaded = recipe_for(album).load()
twins = sum("(test)" in line for line in loaded.notes)
print(f"{len(loaded.test)} test photos dealt out by file: {twins} found as twins")
assert twins < len(loaded.test) / 4
assert len(by_session) == 5
assert gap == 0, "stopped and resumed, or gone through: the same weights"

# %%
from math import comb

alone = comb(10, 5) / comb(35, 5)  # all five sisters among the 10 of 35 that are not in training
print(f"a test photo without a sister in training: one in {1 / alone:,.0f}")
assert 1250 < 1 / alone < 1350

# %%
digits = edu.data.load("mnist5k", size=32, channels=3).test.images[:200].permute(0, 2, 3, 1).numpy()
inputs = torch.stack([network.transforms(Image.fromarray(each)) for each in digits])
with torch.inference_mode():
    confidence = 100 * network.model.cpu()(inputs).softmax(dim=1).max(dim=1).values
for limit in sorted((50, threshold, 60)):
    print(f"{100 * (confidence >= limit).float().mean():.0f} % of 200 digits get an answer at {limit:.0f} %")
print(f"mean confidence: {confidence.mean():.0f} % on the digits, {sure.mean():.0f} % on photos of its own classes")
assert (confidence >= 50).float().mean() > 0.1

# %% [markdown]
# All files of this lesson lie in one temporary folder, which is now removed. The folder of your own run stays.

# %%
size = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
temporary.cleanup()
print(f"{size / 1e6:,.0f} MB removed; still there: {work.exists()}")

# %% [markdown]
# ## Summary
#
# * A folder with one folder for each class is all you need. Read the loader's notes before you train.
# * A recipe is a dataclass, a TOML file and a command line at once. The same recipe and seed give the same net, stopped on
#   the way or not.
# * Deal out sessions, not files. A test error by files says how well the net remembers.
# * Recall goes along a row of the confusion matrix, precision down a column.
# * The percentages share out 100 % among the answers that the net knows. The highest can be near 100 % for a thing that is
#   none of them.
# * Choose a threshold on validation photos of sessions of their own, and promise only what the test photos then say.
# * The photos whose label the net likes least are the first to check by eye.
#
# ## Sources
#
# * C. Guo et al.: On calibration of modern neural networks, 2017, [arXiv 1706.04599](https://arxiv.org/abs/1706.04599)
# * C. Northcutt, L. Jiang, I. Chuang: Confident learning: estimating uncertainty in dataset labels, 2019, [arXiv 1911.00068](https://arxiv.org/abs/1911.00068)
# * R. Selvaraju et al.: Grad-CAM, 2016, [arXiv 1610.02391](https://arxiv.org/abs/1610.02391)
# * The photos come with [scikit-image](https://scikit-image.org), [scikit-learn](https://scikit-learn.org) and [matplotlib](https://matplotlib.org).
#
# ## Next lesson
#
# 13 · At scale: the same training in several processes, and what it costs.
