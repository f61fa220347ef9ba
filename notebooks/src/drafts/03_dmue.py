# ruff: noqa: F401  (a draft: what is imported will be used by the part that is not written yet)
# %% [markdown]
# # 03 · DMUE
#
# [Open in Colab](https://colab.research.google.com/github/@REPOSITORY@/blob/main/notebooks/@NAME@.ipynb) ·
# [Open in Binder](https://mybinder.org/v2/gh/@REPOSITORY@/main?labpath=notebooks%2F@NAME@.ipynb) ·
# on your own computer: `make lab`
#
# ## What you will learn
#
# - how to ask a face *what else* it may be: branches that never saw its class;
# - what such a **latent distribution** is worth, measured against the truth that only BlendFER knows;
# - how the likeness to other faces tells whether a label can be trusted;
# - how two tasks take turns in leading a training;
# - which of the paper's claims hold on BlendFER.
#
# The paper: J. She and others, *Dive into Ambiguity: Latent Distribution Mining and Pairwise Uncertainty Estimation for
# Facial Expression Recognition*, CVPR 2021.
#
# **You need** lesson 01. **Time:** @MINUTES@ of computing on two processor cores, about 45 minutes of reading.

# %% tags=["colab-setup"]
# On Google Colab this installs fercore and the few light packages Colab lacks. Anywhere else it does nothing.
import subprocess
import sys

if "google.colab" in sys.modules:
    light = ["docstring-parser", "grad-cam", "lightning-utilities", "torchmetrics", "ttach", "typeguard", "tyro"]
    light += ["git+https://github.com/@REPOSITORY@"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *light], check=True)

# %% tags=["parameters"]
PRESET = "quick"  # fast (a machine's self-test) | quick (a laptop, minutes) | paper (a GPU, hours)
SEED = 0  # every random choice below follows from this number

# %% [markdown]
# ## Setup

# %%
import numpy as np
import torch
from IPython.display import Markdown, display
from sklearn.metrics import roc_auc_score

from fercore import viz
from fercore.course import check, read_table, runs_folder
from fercore.datasets import apply_condition, blendfer
from fercore.losses.latent import auxiliary_cross_entropy, latent_distribution
from fercore.losses.ramps import ramps
from fercore.losses.similarity import similarity_vector
from fercore.methods import METHODS, build
from fercore.training import TrainConfig, evaluate, fit, predict

data = blendfer.open()
names = data.classes
test = data.where("test")
train = apply_condition(data.where("train"), "noise:0.3", SEED)
if PRESET == "fast":  # a few faces: enough to see that every cell runs, far too few to learn from
    train, test = (part.select(range(0, len(part), len(part) // 300)) for part in (train, test))
flipped = train.label != train.clean_label
print(f"{len(train):,} training faces, {flipped.float().mean():.0%} of them with a wrong label")

# %% [markdown]
# ## The trouble: labels are wrong
#
# Under the condition `noise:0.3` three labels in ten were replaced by another one at random. No flag says which. A
# model that believes every label learns nonsense from those faces, and in the end it learns them by heart. But a wrong
# label is only wrong about *one* class. A smiling face that is labelled *anger* still looks like other smiling faces.
#
# ## The idea in one picture
#
# Give each class $j$ a branch of its own, and train it only with the faces that are **not** labelled $j$. It knows
# nothing about class $j$. So when it is asked about a face labelled $j$, it must say what *else* the face looks like.
# For a smile labelled *anger* the anger branch says *happiness*. That is the face's **latent distribution**.

# %%
wrong = int(torch.nonzero(flipped & (train.clean_label == names.index("happiness")))[2])
label = names[train.label[wrong]]
steps = [
    {"name": f"labelled {label}", "image": train.images[wrong], "note": "in truth:\nhappiness"},
    {"name": "shared stages", "text": "convolutions", "note": "one for all"},
    {
        "name": f"{label} branch",
        "text": f"never saw\n{label}",
        "strong": True,
        "note": "one of seven;\nsix classes each",
    },
    {"name": "latent distribution", "text": "happiness?", "note": "what else\nit may be"},
    {
        "name": "target branch",
        "text": "label and latent\ndistribution",
        "strong": True,
        "note": "the only one that\nis kept",
    },
]
viz.show(
    viz.pipeline(steps, "DMUE"),
    alt=f"A smiling face labelled {label}; shared stages, the {label} branch, what it mines, the target branch.",
)

# %% [markdown]
# ## Equations 1 and 2: the branches
#
# Branch $j$ has $C - 1$ outputs. Its loss is the mean cross-entropy over the $N_j$ faces of the batch that are not
# labelled $j$; the auxiliary loss is the mean over branches:
#
# $$L^{aux}_{CE} = \frac1C \sum_{j=1}^{C} \Bigl( -\frac{1}{N_j} \sum_{p:\, y_p \ne j} \ln f_j(x_p)_{y_p} \Bigr).$$
#
# By hand: three classes, three faces labelled 0, 1, 2, and each branch gives its first class ⅔ and its second ⅓. Branch
# 0 knows the classes 1, 2 and learns from two faces: $-(\ln \tfrac23 + \ln \tfrac13) / 2$. The others have the same
# numbers, so the mean is $-\tfrac12 \ln \tfrac29 \approx 0.752$.


# %% tags=["nbval-check-output"]
def auxiliary_loss(logits, label):
    """Equations 1 and 2. logits (C, N, C), column j of branch j is -inf."""
    total = 0.0
    for j, branch in enumerate(logits):
        faces = label != j
        p = branch[faces].softmax(1)[torch.arange(int(faces.sum())), label[faces]]
        total += -p.log().mean()
    return total / len(logits)


inf = float("inf")
three = torch.tensor([0, 1, 2])
branches = torch.tensor([[[-inf, 2, 1]] * 3, [[2, -inf, 1]] * 3, [[2, 1, -inf]] * 3])
branches = torch.where(branches > 0, branches.clamp(min=1).log(), branches)
by_hand = -np.log(2 / 9) / 2
assert np.isclose(auxiliary_loss(branches, three).item(), by_hand)
assert np.isclose(auxiliary_cross_entropy(branches, three).item(), by_hand)
print(f"by hand {by_hand:.3f}, our code {auxiliary_loss(branches, three):.3f}")

# %% [markdown]
# ## Equation 3: sharpening
#
# The latent distribution $\tilde y$ of a face labelled $j$ is what branch $j$ says. A temperature $T$ makes it flatter
# ($T > 1$) or steeper: each probability is raised to the power $1/T$, then all are divided by their sum. With $T = 2$,
# ⅘ and ⅕ become ⅔ and ⅓, because $\sqrt4 : \sqrt1 = 2 : 1$.

# %% tags=["nbval-check-output"]
one = torch.tensor([[[-inf, np.log(4), 0.0]], [[0.0, -inf, 0.0]], [[0.0, 0.0, -inf]]])
sharpened = latent_distribution(one, torch.tensor([0]), temperature=2)
assert torch.allclose(sharpened, torch.tensor([[0, 2 / 3, 1 / 3]]))
print([round(value, 3) for value in sharpened[0].tolist()])

# %% [markdown]
# The target branch learns it with the mean square of the differences (equation 4), its own class left out: a square
# stays bounded where the latent distribution is wrong, a cross-entropy would not.
#
# ## Equations 6 to 9: can the label be trusted?
#
# A face is compared with all others of its batch: $S_j$ is the mean cosine of its features with those of the faces
# labelled $j$. A face that is far from those of its own label is suspicious. The vector $(S_1, \dots, S_C, y)$ goes
# through two small layers and a sigmoid to a **confidence** $\alpha$ between 0 and 1. The logits are multiplied by it:
# with a small $\alpha$ the softmax is flat, and the label teaches little.
#
# By hand: features $(1, 0)$, $(0, 1)$ labelled 0, and $(1, 0)$ labelled 1. The first face has cosines 1, 0 with class 0
# (itself included, as in the equation) and 1 with class 1: $S = (\tfrac12, 1)$. It looks more like the other class!

# %% tags=["nbval-check-output"]
vector = similarity_vector(torch.tensor([[1.0, 0], [0, 1], [1, 0]]), torch.tensor([0, 0, 1]), 2)
assert torch.allclose(vector[0], torch.tensor([0.5, 1, 1, 0]))
print("similarities and label of the first face:", vector[0].tolist())

# %% [markdown]
# ## Equations 11 and 12: who leads when
#
# At first the branches know nothing, and what they mine is noise. So the auxiliary loss leads up to $\beta$, and the
# target's terms only after it. The released code has a factor 5 in the exponent.


# %%
def ramps_of(beta=0.15, factor=1.0):
    """Both weights over the training."""
    from matplotlib.figure import Figure

    done = np.linspace(0.001, 1, 200)
    figure = Figure(figsize=(5.2, 2.4), layout="constrained")
    axes = figure.subplots()
    for line, name in zip(
        zip(*(ramps(p, beta, factor) for p in done), strict=True), ("target", "branches"), strict=True
    ):
        axes.plot(done, line, label=name)
    axes.set(xlabel="share of the training", ylabel="weight", ylim=(0, 1.05))
    axes.legend(frameon=False)
    return figure


viz.explore(
    ramps_of,
    alt="Two curves over the training: the target's weight rises to 1 at beta, the branches' weight falls after it.",
    beta=(0.05, 0.6, 0.05),
    factor=[1.0, 5.0],
)

# %% [markdown]
# ## Training
#
# The baseline first, then DMUE. After each epoch we note what is mined for 600 training faces. **Time:** about four
# minutes.

# %%
config = TrainConfig.preset(PRESET, METHODS["baseline"], seed=SEED)
baseline = build("baseline", classes=len(names), preset=PRESET, seed=SEED)
fit(baseline, train, config, out=runs_folder("03_dmue", f"baseline-{PRESET}-{SEED}"), resume=True)
baseline.eval().cpu()

watched = torch.randperm(len(train), generator=torch.Generator().manual_seed(SEED))[:600]
by_epoch = []


@torch.inference_mode()
def look(method):
    """Mined distributions, confidence and prediction of the watched faces."""
    was = method.training
    method.eval()
    device = next(method.parameters()).device
    parts = [method.explain(train.batch(rows, device)) for rows in watched.split(100)]
    method.train(was)
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in ("latent", "confidence", "probabilities")}


dmue = build("dmue", classes=len(names), preset=PRESET, seed=SEED)
print(dmue.config)
config = TrainConfig.preset(PRESET, METHODS["dmue"], seed=SEED)
history = fit(dmue, train, config, after_epoch=lambda entry: by_epoch.append(look(dmue)))
dmue.eval().cpu()
