# %% [markdown]
# # 00 · Start here
#
# [Open in Colab](https://colab.research.google.com/github/@REPOSITORY@/blob/main/notebooks/@NAME@.ipynb) ·
# [Open in Binder](https://mybinder.org/v2/gh/@REPOSITORY@/main?labpath=notebooks%2F@NAME@.ipynb) ·
# on your own computer: `make lab`
#
# ## What you will learn
#
# - what *facial expression recognition* is, and why it is harder than it looks;
# - why "the right answer" for a face is often not one word but a **distribution**: 60 % surprise, 30 % fear, 10 %
#   neutral;
# - how a **label** comes out of people's votes, and what gets lost on the way;
# - your way around **BlendFER**, the dataset of this course, in which every face is rendered and its truth is known.
#
# **You need** some Python. You need no knowledge of faces, emotions or neural networks.
#
# **Time:** @MINUTES@ of computing, about half an hour of reading and playing.

# %% tags=["colab-setup"]
# On Google Colab this installs fercore and the few light packages Colab lacks. Anywhere else it does nothing.
import subprocess
import sys

if "google.colab" in sys.modules:
    light = ["docstring-parser", "grad-cam", "lightning-utilities", "torchmetrics", "ttach", "typeguard", "tyro"]
    light += ["git+https://github.com/@REPOSITORY@"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *light], check=True)

# %% tags=["parameters"]
PRESET = "quick"  # fast (a machine's self-test) | quick (a laptop) | paper (a GPU)
SEED = 0  # every random choice below follows from this number

# %% [markdown]
# ## Setup
#
# The next cell imports what we need and looks at your machine. If something is missing, it says what to do.

# %%
import numpy as np
from scipy import stats

from fercore import renderer, viz
from fercore.course import check
from fercore.datasets import blendfer
from fercore.emotions import EMOTIONS, class_names
from fercore.runs.doctor import examine

machine = examine()
print(f"Python {machine['python']}, PyTorch {machine['packages']['torch']}, fercore {machine['fercore']}")
print(f"computing on: {machine['device']}")
print("\n".join(machine["mend"]) or "everything is in place")

# %% [markdown]
# ## The idea in one picture
#
# A *facial expression recogniser* is a function. In goes a picture of a face; out comes one number per emotion, which
# says how likely people are to see that emotion in the face. Five recent papers improve this function, each where the
# data is bad in another way: wrong labels, rare emotions, few labels, ambiguous faces. This course rebuilds all five.

# %%
eight = class_names(8)
smile = renderer.render({"happiness": 0.8, "surprise": 0.2}, intensity=0.9, identity=11)
mixed = [f"{eight[c]} {smile.distribution[c]:.0%}" for c in np.argsort(-smile.distribution)]
steps = [
    {"name": "a face", "image": smile.image, "note": "a few thousand\ncoloured dots"},
    {
        "name": "a model",
        "text": "learned from\nlabelled faces",
        "strong": True,
        "note": "lessons 01 to 06:\nsix ways to learn",
    },
    {"name": "a distribution", "text": "\n".join(mixed[:2]), "note": "one number an emotion,\ntogether 100 %"},
    {"name": "an answer", "text": mixed[0].split()[0], "note": "the largest number, if\none word is asked for"},
]
viz.show(
    viz.pipeline(steps, "From a face to an answer"),
    alt="A face, an arrow to a box 'a model', an arrow to 'a distribution', an arrow to 'an answer: happiness'.",
)

# %% [markdown]
# | lesson | its question |
# |---|---|
# | **00** start here | What is in a face, and in a label? |
# | **01** the baseline | How far does plain learning get, and how do we measure it? |
# | **02** RAC + RSL | Some emotions are rare. How do we learn them from the common ones? |
# | **03** DMUE | A face may show two emotions. Can the second one be mined from the data? |
# | **04** Ada-DF | Can we learn from distributions when we are only given labels? |
# | **05** LA-Net | Labels are wrong. Can the shape of the face correct them? |
# | **06** LEAF | Only a few faces have labels. What can the others teach? |
# | **07** side by side | Which method helps when? |
# | **08** your faces | What does it all say about *your* photo? |
#
# Not every lesson may be written yet; the README lists those that are.

# %% [markdown]
# ## Eight emotions
#
# Psychologists of the school of Paul Ekman hold that a handful of expressions is understood nearly everywhere. Datasets
# use seven or eight of them. Here is each one at full strength, on two faces. Nobody's privacy is at stake: these
# people do not exist. A program draws them from a 3-D head, and we can ask it for anything.

# %%
people = (5, 21)
faces = [renderer.render({name: 1.0}, intensity=1.0, identity=person).image for person in people for name in eight]
viz.show(
    viz.contact_sheet(faces, captions=eight * len(people), title="Two people, eight emotions"),
    alt="Two rendered faces, each showing surprise, fear, disgust, happiness, sadness, anger, neutral, contempt.",
)

# %% [markdown]
# Cover the captions with your hand and name the emotions. Surprise and fear share the wide eyes. Anger and disgust
# share the lowered brows. You will meet these pairs again: people mix them up, and so will every model.
#
# Each emotion keeps its colour and its marker through the whole course. The colours can be told apart with every common
# kind of colour blindness, and the markers say the same without colour.

# %% [markdown]
# ## The face lab
#
# Real faces rarely show one emotion at full strength. They show a bit of this, a touch of that. In the lab you mix two
# emotions, choose how intense the expression is, who shows it, where the head turns and from where the light comes.
# Beside the face you see two things:
#
# - its **true distribution**, written $p(\text{emotion} \mid \text{face})$ and read "the probability of each emotion,
#   given this face": how much of each emotion there is to see. We know it, because we wrote the recipe of the face. The
#   stronger emotion counts a little more than its share, and what is too faint to be seen counts as neutral;
# - the **votes** of ten people who look at it. Ten are few, so votes scatter. And people err: now and then somebody
#   takes fear for surprise. Our ten are simulated, but they err as often as real people did in a large experiment.


# %%
def face_lab(emotion="surprise", mixed_with="fear", share=0.35, intensity=0.7, person=3, turn=-10, light_from=-30):
    """One rendered face, its true distribution, and ten votes."""
    blend = {emotion: 1 - share}
    blend[mixed_with] = blend.get(mixed_with, 0) + share
    scene = renderer.Scene(yaw=turn, key_azimuth=light_from)
    face = renderer.render(blend, intensity=intensity, identity=person, scene=scene)
    votes = blendfer.sample_votes(face.distribution, np.random.default_rng(SEED))
    return viz.face_lab(face.image, face.distribution, votes, eight)


viz.explore(
    face_lab,
    alt="A rendered face beside bars of its true distribution over eight emotions and markers for ten people's votes.",
    emotion=list(eight),
    mixed_with=list(eight),
    share=(0.0, 0.5, 0.05),
    intensity=(0.0, 1.0, 0.05),
    person=(0, 60, 1),
    turn=(-45, 45, 5),
    light_from=(-90, 90, 10),
)

# %% [markdown]
# Things to try:
#
# 1. Pull **intensity** down to 0.2. The face goes blank, and the distribution moves to *neutral*. A faint smile *is*
#    ambiguous.
# 2. Mix surprise with fear, then anger with disgust. Which mix looks natural to you?
# 3. Keep everything and change only the **person**. The distribution stays, but do you still see the same emotion?
# 4. Turn the head by 45 degrees. The truth has not changed. What you can see of it has.

# %% [markdown]
# ## How uncertain is a face? One number
#
# We want to say how ambiguous a distribution is. The **entropy** does that. For probabilities $p_1, \dots, p_C$ over
# $C$ emotions,
#
# $$H(p) = -\sum_{c=1}^{C} p_c \log_2 p_c ,$$
#
# measured in *bits*. One sure emotion gives 0 bits. Two equally likely ones give 1 bit: one yes-or-no question is open.
# By hand, for three faces and three emotions (an emotion with $p_c = 0$ adds nothing):
#
# | face | $p$ | $H$ |
# |---|---|---|
# | clear | (1, 0, 0) | $-1 \cdot \log_2 1 = 0$ |
# | torn | (½, ½, 0) | $-2 \cdot \tfrac12 \log_2 \tfrac12 = 1$ |
# | leaning | (½, ¼, ¼) | $\tfrac12 \cdot 1 + 2 \cdot \tfrac14 \cdot 2 = 1.5$ |
#
# Then the same in code, and the same by a library. All three must agree.


# %% tags=["nbval-check-output"]
def entropy(p):
    """(N, C) probabilities -> (N,) entropy in bits."""
    logarithm = np.log2(p, where=p > 0, out=np.zeros_like(p))
    return -(p * logarithm).sum(axis=1)


three = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.5, 0.25, 0.25]])
by_hand = np.array([0, 1, 1.5])
assert np.allclose(entropy(three), by_hand)
assert np.allclose(entropy(three), stats.entropy(three, base=2, axis=1))
print("by hand, by our code and by SciPy:", (entropy(three) + 0.0).tolist(), "bits")

# %% [markdown]
# ## Meet BlendFER
#
# **BlendFER** is this course's dataset. Every face was drawn by the renderer you just played with, each with its own
# person, skin, age, hair, pose, light, background and now and then a hand, a mask or sunglasses in the way. It has the
# size of RAF-DB, the real dataset that all five papers use. And it knows what no real dataset knows: the true
# distribution of every face.
#
# The faces come in three **splits**. A model learns from `train`. We choose settings on `val`, short for *validation*.
# And `test` is the exam, looked at only at the end. No person appears in two of them; otherwise a model could pass by
# remembering people.

# %%
data = blendfer.open(classes=8)
train, test = data.where("train"), data.where("test")
print(data)
for name in ("train", "val", "test"):
    part = data.where(name)
    print(f"{name:>6}: {len(part):6,} faces of {len(set(part.subject)):5,} people")

# %%
random = np.random.default_rng(SEED)
rows = [random.choice(np.flatnonzero(train.label.numpy() == emotion.index), 8, replace=False) for emotion in EMOTIONS]
viz.show(
    viz.contact_sheet(train.images[np.concatenate(rows)], rows=eight, title="Faces by their label"),
    alt="Eight rows of eight rendered faces each, one row an emotion, varied in person, pose, light and background.",
)

# %%
viz.show(
    viz.class_counts(train.counts, eight, "Training faces by their label"),
    alt="Bar chart of the number of training faces for each of the eight labels: "
    + ", ".join(f"{name} {count}" for name, count in zip(eight, train.counts.tolist(), strict=True)),
)

# %% [markdown]
# ## From votes to a label
#
# For each face, ten of the simulated people said what they saw. How often they take one emotion for another was
# estimated from FER+, where ten real people labelled each of 35,887 photographs. The **label** is the emotion with the
# most votes. That is all a usual dataset tells you. How much do the ten agree?

# %%
top = train.votes.max(dim=1).values.numpy()
viz.show(
    viz.agreement(top),
    alt="Histogram: for how many faces the winning emotion got a given number of the ten votes.",
)
print(f"all ten agree:                     {np.mean(top == 10):6.1%} of the training faces")
print(f"the winner has no majority (<= 5): {np.mean(top <= 5):6.1%}")

# %%
truth = train.distribution.numpy()
uncertain = entropy(truth)
wrong = truth.argmax(axis=1) != train.label.numpy()
faint = uncertain > np.median(uncertain)
print(f"entropy of the truth: {uncertain.mean():.2f} bits on average, {uncertain.max():.2f} at most (3 are possible)")
print(f"the label is not the most likely emotion: {wrong.mean():.1%} of all faces")
print(f"   among the clearer half of the faces:   {wrong[~faint].mean():.1%}")
print(f"   among the more ambiguous half:         {wrong[faint].mean():.1%}")

# %% [markdown]
# So even carefully made labels are wrong for a good part of the faces, and they are wrong *where faces are ambiguous*.
# This is called **label noise**. It is not carelessness; it is what happens when a distribution is squeezed into one
# word. Here are the extremes. The captions give the two most likely emotions.

# %%
order = np.argsort(uncertain, kind="stable")
shown = np.concatenate([random.choice(order[:500], 8, replace=False), random.choice(order[-500:], 8, replace=False)])


def caption(p):
    """The two most likely emotions of one distribution."""
    first, second = np.argsort(-p)[:2]
    return f"{eight[first]} {p[first]:.0%}\n{eight[second]} {p[second]:.0%}"


viz.show(
    viz.contact_sheet(train.images[shown], captions=[caption(p) for p in truth[shown]], rows=["clear", "torn"]),
    alt="Two rows of eight faces: above, faces with one clear emotion; below, faces torn between several.",
)

# %% [markdown]
# ## Who is taken for whom?
#
# Each row below collects the faces with one most likely emotion; the columns show where the votes on them went. A table
# like this is called a **confusion matrix**. You will read many in this course. Dark on the diagonal is good; every
# number beside it is a confusion.

# %%
votes_by_truth = np.zeros((8, 8))
np.add.at(votes_by_truth, truth.argmax(axis=1), train.votes.numpy())
viz.show(
    viz.confusion(votes_by_truth, eight, "Where the votes went", truth="most likely emotion", seen="votes", of="votes"),
    alt="Confusion matrix: rows are the most likely emotion of a face, columns the share of votes for each emotion.",
)

# %%
mistaken = votes_by_truth / votes_by_truth.sum(axis=1, keepdims=True)
np.fill_diagonal(mistaken, 0)
for place in np.argsort(-mistaken, axis=None)[:4]:
    shown, seen = np.unravel_index(place, mistaken.shape)
    print(f"{eight[shown]} is called {eight[seen]} in {mistaken[shown, seen]:.0%} of the votes")

# %% [markdown]
# Confusion is not mutual: look at the two cells of a pair on either side of the diagonal. People who are unsure often
# fall back on *neutral*.

# %% [markdown]
# ## Exercises
#
# Each exercise has an answer cell, a check, and a folded solution. Replace `None`, run both cells, and be honest with
# yourself for five minutes before you unfold.
#
# ### 1. One annotator instead of ten
#
# Ten votes are expensive; many datasets have a single annotator. If each training face were labelled by *one* of its
# ten voters, drawn at random, which share of the labels would not be the most likely emotion? You can compute it
# exactly from `train.votes` and `truth`.

# %% tags=["exercise"]
wrong_if_one = None  # a number between 0 and 1

# %% tags=["check"]
voted = train.votes.numpy() / 10
check(
    wrong_if_one,
    lambda share: abs(share - (1 - voted[np.arange(len(voted)), truth.argmax(1)]).mean()) < 0.005,
    right="Right. Ten voters are worth their money.",
    hint="For one face it is 1 minus the share of votes for its most likely emotion. Then take the mean.",
)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# share_of_votes = train.votes.numpy() / 10
# most_likely = truth.argmax(axis=1)
# wrong_if_one = 1 - share_of_votes[np.arange(len(truth)), most_likely].mean()
# ```
# </details>
#
# ### 2. The ceiling
#
# Imagine a perfect model. It knows the true distribution of every *test* face and always answers with its most likely
# emotion. Test labels come from votes too. In which share of the test faces does this perfect model agree with the
# label? No honest model can pass such a ceiling; lesson 01 shows how close one gets.

# %% tags=["exercise"]
ceiling = None  # a number between 0 and 1

# %% tags=["check"]
check(
    ceiling,
    lambda share: abs(share - (test.distribution.argmax(1) == test.label).float().mean().item()) < 0.001,
    right="Right. Nobody can score 100 % on noisy labels, not even the truth.",
    hint="Compare test.distribution.argmax(1) with test.label.",
)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# ceiling = (test.distribution.argmax(1) == test.label).float().mean().item()
# ```
# </details>
#
# ### 3. Draw a riddle
#
# Write a blend of emotions and an intensity whose face has an entropy between 1.2 and 1.5 bits: ambiguous, yet not
# hopeless. The face lab above helps you to find it.

# %% tags=["exercise"]
riddle = None  # for example ({"anger": 0.9, "disgust": 0.1}, 0.95): the blend, then the intensity


# %% tags=["check"]
def bits(answer):
    """Entropy of a riddle's face."""
    return entropy(renderer.render(answer[0], intensity=answer[1], identity=5).distribution[None])[0]


check(
    riddle,
    lambda answer: 1.2 <= bits(answer) <= 1.5,
    right="Right. Show the face to a friend and ask what they see.",
    hint="Its entropy is not between 1.2 and 1.5 bits. Mix more evenly, or lower the intensity, for more.",
)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# mixes, strengths = (0.2, 0.3, 0.4, 0.5), (0.9, 0.6, 0.4, 0.3)
# tried = [({"surprise": 1 - mix, "fear": mix}, strength) for mix in mixes for strength in strengths]
# faces = [renderer.render(blend, intensity=strength, identity=5) for blend, strength in tried]
# ambiguity = np.array([entropy(face.distribution[None])[0] for face in faces])
# riddle = tried[int(np.abs(ambiguity - 1.35).argmin())]
# ```
# </details>

# %% [markdown]
# ## What to take with you
#
# - A face has a *distribution* over emotions. A label is its shadow.
# - Labels come from votes. They are wrong mostly where faces are ambiguous, and that sets a ceiling for every model.
# - In BlendFER we know the truth, so we can check every claim about it. With real photographs nobody can.
#
# Next: [01 · The baseline](01_baseline.ipynb), in which a network learns to read these faces.
#
# ## References
#
# - P. Ekman and W. V. Friesen. *Constants across cultures in the face and emotion.* Journal of Personality and Social
#   Psychology 17, 1971.
# - L. F. Barrett, R. Adolphs, S. Marsella, A. M. Martinez and S. D. Pollak. *Emotional expressions reconsidered.*
#   Psychological Science in the Public Interest 20, 2019. Why a face alone says less about feelings than we like to
#   think.
# - E. Barsoum, C. Zhang, C. Canton Ferrer and Z. Zhang. *Training deep networks for facial expression recognition with
#   crowd-sourced label distribution.* ICMI 2016. The FER+ votes.
# - S. Li, W. Deng and J. Du. *Reliable crowdsourcing and deep locality-preserving learning for expression recognition
#   in the wild.* CVPR 2017. RAF-DB.
# - MakeHuman, MPFB2 and the Face Units pack by Mika Suominen, all CC0: the head that BlendFER is drawn from.
