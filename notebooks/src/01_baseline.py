# %% [markdown]
# # 01 · The baseline
#
# [Open in Colab](https://colab.research.google.com/github/@REPOSITORY@/blob/main/notebooks/@NAME@.ipynb) ·
# [Open in Binder](https://mybinder.org/v2/gh/@REPOSITORY@/main?labpath=notebooks%2F@NAME@.ipynb) ·
# on your own computer: `make lab`
#
# ## What you will learn
#
# - how a neural network learns to read faces, in a training loop of 40 lines with nothing hidden;
# - the loss that nearly every method in this course starts from, **cross-entropy**, by hand and in code;
# - why one accuracy is not enough, and what **overall** and **mean** accuracy each leave out;
# - how to question a model: what it confuses, whether its confidence can be believed, where it looks, how it sorts
#   faces;
# - how a model that has only seen rendered faces judges two real photographs.
#
# **You need** lesson 00 and some Python. It helps to have seen PyTorch before.
#
# **Time:** @MINUTES@ of computing on two processor cores, about 45 minutes of reading. No GPU is needed.

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
import json
from pathlib import Path

import matplotlib
import numpy as np
import skimage
import torch
import torch.nn.functional as F
from torch import nn

from fercore import metrics, photos, viz
from fercore.course import check, read_table, runs_folder
from fercore.datasets import blendfer, read_image
from fercore.methods import METHODS, build
from fercore.models import FACE_WEIGHTS
from fercore.training import TrainConfig, evaluate, fit

data = blendfer.open()
names = data.classes
train, val, test = data.where("train"), data.where("val"), data.where("test")
if PRESET == "fast":  # a few faces: enough to see that every cell runs, far too few to learn from
    train, val, test = (part.select(range(0, len(part), len(part) // 300)) for part in (train, val, test))
print(train, val, test, sep="\n")

# %% [markdown]
# Seven classes this time. Contempt is rare and disputed, and most papers leave it out; so do we, unless we say
# otherwise.
#
# ## The idea in one picture
#
# A **convolutional network** slides small filters over the picture. The first ones find edges, later ones find eyes and
# mouths. What they find is averaged over the picture into a list of numbers, the **features**. One last **linear
# layer** turns the features into one score per emotion. The scores are called **logits**. Finally **softmax** turns
# logits into probabilities.

# %%
steps = [
    {"name": "a face", "image": test.images[3], "note": "64 × 64 dots,\nthree colours"},
    {"name": "backbone", "text": "convolutions", "strong": True, "note": "what is where:\na map of features"},
    {"name": "features", "text": "average\nover the map", "note": "what is there\nat all"},
    {"name": "linear layer", "text": "7 logits", "note": "one score\nan emotion"},
    {"name": "softmax", "text": "7 probabilities", "note": "between 0 and 1,\ntogether 1"},
]
viz.show(
    viz.pipeline(steps, "The baseline"),
    alt="A face, then boxes joined by arrows: backbone, features, linear layer (7 logits), softmax (7 probabilities).",
)

# %% [markdown]
# ## The loss: cross-entropy
#
# **Softmax** makes logits $z_1, \dots, z_C$ positive and lets them sum to one:
#
# $$p_c = \frac{e^{z_c}}{\sum_{k=1}^{C} e^{z_k}} .$$
#
# The **cross-entropy** of a face with label $y$ is $-\ln p_y$: nothing if the model is sure of the label, and the
# larger the less probability it gave it. For $N$ faces we take the mean:
#
# $$\mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \ln p_{i, y_i} .$$
#
# By hand, for three faces and three emotions. The logits are logarithms of simple numbers, so that softmax is mental
# arithmetic:
#
# | face | $e^{z}$ | sum | $p$ | label | $-\ln p_y$ |
# |---|---|---|---|---|---|
# | 1 | 2, 1, 1 | 4 | ½, ¼, ¼ | first | $\ln 2$ |
# | 2 | 1, 2, 1 | 4 | ¼, ½, ¼ | third | $\ln 4$ |
# | 3 | 1, 1, 6 | 8 | ⅛, ⅛, ¾ | third | $\ln \tfrac43$ |
#
# The mean is $\tfrac13 (\ln 2 + \ln 4 + \ln \tfrac43) = \tfrac13 \ln \tfrac{32}{3} \approx 0.789$. Now in code, and
# with the library's function.


# %% tags=["nbval-check-output"]
def cross_entropy(logits, label):
    """(N, C) logits, (N,) labels -> mean of -ln p(label)."""
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    return -p[torch.arange(len(label)), label].log().mean()


logits = torch.tensor([[2.0, 1, 1], [1, 2, 1], [1, 1, 6]]).log()
label = torch.tensor([0, 2, 2])
by_hand = np.log(32 / 3) / 3
assert np.isclose(cross_entropy(logits, label).item(), by_hand)

random_logits, random_label = torch.randn(64, 7), torch.randint(7, (64,))
assert torch.allclose(cross_entropy(random_logits, random_label), F.cross_entropy(random_logits, random_label))
print(
    f"by hand {by_hand:.3f}, our code {cross_entropy(logits, label):.3f}, library {F.cross_entropy(logits, label):.3f}"
)

# %% [markdown]
# *A trap:* `exp` of a logit of 100 is too large a number for the computer, and our version returns `nan`. The library
# subtracts the largest logit first, which changes nothing in the mathematics. From here on we use the library's.
#
# ## The bare training loop
#
# Here is all there is to training, in plain PyTorch. Show the model some faces. Compute the loss. Let PyTorch work out,
# for each of the model's numbers, in which direction the loss falls (the **gradient**). Take a small step in that
# direction. Repeat. One pass over all faces is an **epoch**. We use a third of the faces and a small network. **Time:**
# about 20 seconds.

# %%
torch.manual_seed(SEED)
few = train.select(range(0, len(train), 3))
images, labels = few.images, few.label  # (N, 3, 64, 64) bytes, (N,) numbers


def block(inputs, outputs):
    """Filters, then a norm that keeps numbers in range, then: forget what is negative. Halves the picture's sides."""
    filters = nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1)
    return nn.Sequential(filters, nn.BatchNorm2d(outputs), nn.ReLU())


average = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
small = nn.Sequential(block(3, 24), block(24, 48), block(48, 96), block(96, 96), average, nn.Linear(96, len(names)))
optimiser = torch.optim.AdamW(small.parameters(), lr=3e-3)
epochs, batch_size = (1 if PRESET == "fast" else 6), 64

for epoch in range(epochs):
    small.train()
    total = 0.0
    for rows in torch.randperm(len(images)).split(batch_size):
        batch = images[rows].float() / 255
        mirrored = torch.rand(len(batch)) < 0.5  # a mirrored face shows the same emotion: twice the data, free
        batch[mirrored] = batch[mirrored].flip(-1)
        loss = F.cross_entropy(small(batch), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() * len(rows)
    small.eval()
    with torch.inference_mode():
        right = small(val.images.float() / 255).argmax(1) == val.label
    print(f"epoch {epoch + 1}: loss {total / len(images):.2f}, {right.float().mean():.0%} of validation right")

# %% [markdown]
# Compare the last number with guessing: always naming the commonest emotion, or drawing one at random. A small network,
# few faces, seconds: it learns something, but not much. And the validation accuracy jumps up and down from epoch to
# epoch, because the steps stay as large at the end as they were at the start. What would help?

# %%
print(f"always {names[train.counts.argmax()]}: {(val.label == train.counts.argmax()).float().mean():.0%}")
print(f"at random: {1 / len(names):.0%}")

# %% [markdown]
# ## The same with `fit`
#
# A real run wants more: a better network, stronger **augmentation** (small random shifts, turns and colour changes, so
# that the model cannot learn faces by heart), a learning rate that rises and then falls, and a checkpoint in case the
# computer goes to sleep. That is `fit`. The loop inside is the one above.
#
# The network now starts from **face-pretrained weights**: it was first trained to tell hundreds of rendered *people*
# apart. No emotion was involved, but it has learned to look at faces. All five papers start like this. Did it work?
# These are pairs of faces of 100 people whom it had never met:

# %%
known = json.loads(FACE_WEIGHTS.with_suffix(".json").read_text())
viz.show(
    viz.verification(known["histograms"]["same"], known["histograms"]["different"], known["auc"]),
    alt=f"Histograms of how alike two faces are: pairs of the same person lie to the right; AUC {known['auc']:.3f}.",
)

# %% [markdown]
# The **AUC** is the chance that a pair of the same person looks more alike than a pair of two people: 0.5 is guessing,
# 1 is never wrong. What does knowing people bring for emotions? Test accuracy with this start and from random weights,
# overall, mean over seeds:

# %%
runs = read_table("runs.csv")
runs = runs[(runs["method"] == "baseline") & (runs["preset"] == "quick") & runs["variant"].isin(["", "weights=None"])]
means = runs.pivot_table(index="condition", columns="variant", values="overall")
print(f"{'condition':<15}{'face-pretrained':>17}{'random start':>15}")
for condition, row in means.iterrows():
    print(f"{condition:<15}{row['']:>17.1%}{row['weights=None']:>15.1%}")

# %% [markdown]
# (The conditions are the coming lessons' troubles: 30 % wrong labels, rare emotions, 100 labels in all.)
#
# `fit` keeps its checkpoint in `runs/`. Run the cell again and it loads the finished model instead of training anew;
# delete `runs/01_baseline` to start afresh. **Time:** about a minute the first time.

# %%
config = TrainConfig.preset(PRESET, METHODS["baseline"], seed=SEED)
model = build("baseline", classes=len(names), preset=PRESET, seed=SEED)
history = fit(model, train, config, val=val, out=runs_folder("01_baseline", f"{PRESET}-{SEED}"), resume=True)
model.eval().cpu()  # from here on it only answers; where there is a GPU, fit left it there
weights = sum(parameter.numel() for parameter in model.parameters())
print(f"{weights / 1e6:.1f} million weights, {sum(row['seconds'] for row in history):.0f} seconds of training")

# %%
viz.show(
    viz.learning_curves(history),
    alt="Two line charts over the epochs: the cross-entropy falls, overall and mean validation accuracy rise.",
)

# %% [markdown]
# ## Two accuracies
#
# The exam: faces of people whom the model has never seen. Two numbers sum it up.
#
# - **Overall accuracy**: the share of all faces that are answered rightly.
# - **Mean accuracy**: for each emotion the share of its faces that is found, its **recall**; then the mean of these
#   seven. It is also called *balanced* accuracy.

# %%
result = evaluate(model, test, probabilities=True)
probabilities = result["probabilities"]
answer = probabilities.argmax(1)
recall = np.array([result["recall"][name] or 0.0 for name in names])
print(f"overall accuracy {result['overall']:.1%}, mean accuracy {result['mean']:.1%}")
viz.show(
    viz.class_recall(recall, test.counts, names, result["overall"], result["mean"], of="test faces"),
    alt="Recall of each emotion beside its number of test faces: "
    + ", ".join(f"{name} {value:.0%}" for name, value in zip(names, recall, strict=True)),
)

# %% [markdown]
# In BlendFER the classes are of similar size, so both numbers are close. The world is not like that. In RAF-DB, a real
# dataset, happiness has 16 times as many faces as fear. What would *the same model* score there, if each emotion kept
# its recall?

# %%
raf_db = torch.tensor([329, 74, 160, 1185, 478, 162, 680])  # its test faces by emotion, surprise to neutral
share = raf_db / raf_db.sum()
answers = {
    "our model": answer,
    "the same, in doubt betting on common emotions": (probabilities * share).argmax(1),
    "always happiness": torch.full_like(answer, names.index("happiness")),
}
for title, given in answers.items():
    found = metrics.recall(metrics.confusion(test.label, given, len(names))).nan_to_num().float()
    print(f"{title:<47}overall {share @ found:.1%}   mean {found.mean():.1%}")

# %% [markdown]
# Answering *happiness* to everything is useless, yet its overall accuracy looks like something. The second row is our
# model again, but when it hesitates it bets on the emotion that is common in RAF-DB. On a set like RAF-DB this bet pays
# in overall accuracy. The rare emotions pay for it, and the mean accuracy shows that. So this course always reports
# **both**. Papers that report only one leave you guessing.
#
# ## What does it confuse?

# %%
viz.show(
    viz.confusion(metrics.confusion(test.label, answer, len(names)), names, truth="label"),
    alt="Confusion matrix of the test faces: rows are labels, columns the model's answers, in percent of the row.",
)

# %% [markdown]
# Compare it with the people's confusion matrix of lesson 00. Then recall the ceiling: labels themselves are not always
# right. Against the *true* most likely emotion, which only BlendFER knows, the model does better or worse?

# %%
ceiling = (test.distribution.argmax(1) == test.label).float().mean()
print(f"agrees with the label:               {result['overall']:.1%}")
print(f"agrees with the most likely emotion: {result['overall_truth']:.1%}")
print(f"a perfect model agrees with the label in {ceiling:.1%}")

# %% [markdown]
# ## Can its confidence be believed?
#
# Each answer comes with a probability, its **confidence**. A model is **calibrated** if, of all answers given with 80 %
# confidence, 80 % are right. The diagram groups the test faces by confidence. The **expected calibration error** (ECE)
# is the mean gap to the diagonal, each group weighted by its size.

# %%
confidence = probabilities.max(1).values
viz.show(
    viz.reliability(confidence, answer == test.label),
    alt=f"Reliability diagram of the test faces: share of right answers against confidence; ECE {result['ece']:.1%}.",
)

# %% [markdown]
# BlendFER allows one more question that real data cannot answer. Is the *whole* distribution right, not only its
# winner? The **Jensen-Shannon divergence** measures how far two distributions lie apart: 0 if they are equal, $\ln 2
# \approx 0.69$ if they have nothing in common.

# %%
rivals = {
    "the model": probabilities,
    "knowing nothing": torch.full_like(probabilities, 1 / len(names)),
    "the label, taken as certain": F.one_hot(test.label, len(names)).float(),
}
for title, guess in rivals.items():
    print(f"{title:<28}{metrics.js_divergence(guess, test.distribution).mean():.3f} away from the truth")

# %% [markdown]
# Surprised that the bare label is closer than the model? Most faces show one emotion clearly, and their true
# distribution is nearly one-hot, as the label is; the model pays for every wrong answer. But the label cannot know what
# else a face shows. Later lessons try to have both.

# %% [markdown]
# ## Where does it look?
#
# **Grad-CAM** asks which places of the last feature map would raise the score of the answer most if they were stronger,
# and paints them. It needs one backward pass for each face. Here is one face per emotion that was answered rightly with
# high confidence, and what decided.

# %%
from pytorch_grad_cam import GradCAM

best = [int((probabilities[:, c] * (test.label == c) * (answer == c)).argmax()) for c in range(len(names))]
faces = test.batch(best).image
with GradCAM(model=model, target_layers=[model.net.backbone.stages["stage4"]]) as camera:
    heat = camera(input_tensor=faces, targets=None)  # None: for the most likely emotion of each face
captions = [f"{name}, {probabilities[row].max():.0%}" for name, row in zip(names, best, strict=True)]
viz.show(
    viz.attention_strip(faces, heat, captions),
    alt="Seven faces, one an emotion, and below each the places that decided the model's answer, as a heat map.",
)

# %% [markdown]
# Read such maps with care. The map is only 4 × 4 or so before it is enlarged, and a nice picture is no proof. But if a
# model decides by the background, this is where you would see it.
#
# ## How does it sort faces?
#
# Before the last layer each face is a list of features. **UMAP** lays such lists out on a plane so that neighbours stay
# neighbours. The axes mean nothing, and distances between far groups mean little. Who is next to whom does. In Jupyter
# you can point at a face: you see its true distribution. **Time:** about 20 seconds.

# %%
from umap import UMAP

some = torch.randperm(len(test), generator=torch.Generator().manual_seed(SEED))[:1000]
with torch.inference_mode():
    backbone = model.net.backbone
    features = torch.cat([backbone(test.batch(rows).image).mean((2, 3)) for rows in some.split(250)])
plane = UMAP(n_neighbors=15, min_dist=0.3, random_state=SEED, n_jobs=1).fit_transform(features.numpy())
told = [
    "<br>".join(f"{names[c]} {p[c]:.0%}" for c in p.argsort(descending=True)[:3].tolist())
    for p in test.distribution[some]
]
title = f"{len(some):,} test faces, by what the network sees; colour: label"
viz.show(
    viz.embedding_plotly(plane, test.label[some], names, told, title),
    static=viz.embedding(plane, test.label[some], names, title),
    alt="Scatter plot of test faces by their features: emotions that people confuse lie side by side.",
)

# %% [markdown]
# ## Real photographs
#
# The model has never seen a photograph. Let us show it two, both in the public domain: the astronaut Eileen Collins
# (from scikit-image) and Rear Admiral Grace Hopper (from matplotlib). First the face is found and cropped as BlendFER's
# faces are; then the model answers.

# %%
portraits = {
    "Eileen Collins": Path(skimage.__file__).parent / "data" / "astronaut.png",
    "Grace Hopper": Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
}
for name, path in portraits.items():
    photo = read_image(path)
    found = photos.find_faces(photo)
    crops = [photos.crop_like_blendfer(photo, face, 64) for face in found]
    opinion = photos.predict_photos(model, [path])["photos"][0]["faces"]
    viz.show(
        viz.opinions(
            photo, [face["box"] for face in opinion], [face["probabilities"] for face in opinion], crops, name
        ),
        alt=f"A photograph of {name} with the face framed, and the model's probabilities: "
        + "; ".join(face["label"] for face in opinion),
    )

# %% [markdown]
# Do you agree? A confident answer can be plainly wrong: that a model is calibrated on rendered faces says nothing about
# photographs. Two photographs prove nothing, though. The step from rendered faces to real ones is called a **domain
# gap**. We measured it on 102 photographs of the Face Research Lab London Set (DeBruine and Jones, 2017): 51 people,
# each once neutral and once smiling. They were only ever used for this table, never for training or for choosing
# anything. The model is this lesson's, trained for longer, with three seeds; the last column asks the three models
# **together** and takes the mean of their probabilities. You can make such a table of your own photos: `python -m
# notebooks.tools photos FOLDER`, with a `labels.csv` (path, label) in the folder.

# %%
photos_table = read_table("photos.csv")
several = photos_table["seed"].str.contains("+", regex=False)
alone, together = photos_table[~several], photos_table[several].iloc[0]
print(f"{alone['model'][0]}; {alone['n'][0]} photographs, {len(alone)} seeds")
print(f"{'':<48}{'mean':>6}   {'the seeds alone':<16}{'together':>10}")
for column, meaning in {
    "blendfer_overall": "rendered faces, 7 emotions, overall accuracy",
    "smile_vs_neutral_balanced": "photographs, smile or neutral? mean accuracy",
    "mean": "photographs, one of 7 emotions, mean accuracy",
    "recall_happiness": "   of the smiling ones called happiness",
    "recall_neutral": "   of the neutral ones called neutral",
}.items():
    values = alone[column]
    seeds = f"{values.min():.1%} to {values.max():.1%}"
    print(f"{meaning:<48}{values.mean():6.1%}   {seeds:<16}{together[column]:>10.1%}")

# %% [markdown]
# Telling a smile from a resting face works far better than naming one emotion out of seven. Which of the two classes
# suffers more, you see in the last two lines. Our rendered people vary, but real skin, hair, light and lenses vary
# more, and people at rest look stern, tired or amused each in their own way. What remains is the gap between a 3-D head
# with 52 movable units and a person.
#
# ## What the papers claim and what we measured
#
# A "baseline" in these papers is this: a network pretrained on faces, cross-entropy, nothing else. Their ResNet-18
# reaches about 85 to 89 % overall on RAF-DB, depending mostly on *which* pretrained weights are used; users of the
# released code report exactly that in their issues. We have no RAF-DB here, so our numbers cannot be set beside theirs.
# What can be compared, on the same faces and from the same start, are methods with each other. Each of the next lessons
# does so, over several seeds.
#
# ## Exercises
#
# ### 1. Mean accuracy from a confusion matrix
#
# Rows are labels, columns answers. Write it in one line.


# %% tags=["exercise"]
def mean_accuracy(counts):
    """(C, C) tensor of counts -> the mean of the recalls, a float."""
    return None  # your line here


# %% tags=["check"]
example = torch.tensor([[8, 2, 0], [1, 1, 0], [0, 3, 3]])
check(
    mean_accuracy(example),
    lambda value: abs(value - (0.8 + 0.5 + 0.5) / 3) < 1e-6,
    right=f"Right. On the test set it gives {result['mean']:.1%}, as `evaluate` does.",
    hint="The recalls are the diagonal divided by the row sums.",
)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# def mean_accuracy(counts):
#     """(C, C) tensor of counts -> the mean of the recalls, a float."""
#     return (counts.diagonal() / counts.sum(dim=1)).mean().item()
# ```
# </details>
#
# ### 2. Ask twice
#
# A mirrored face shows the same emotion. Average the model's probabilities for each *validation* face and its mirror
# image. Which overall accuracy do you get? This trick is called *test-time augmentation*.

# %% tags=["exercise"]
asked_twice = None  # overall accuracy on val, a number between 0 and 1

# %% tags=["check"]
with torch.inference_mode():
    pair = [model(x).softmax(1) for x in (val.images.float() / 255, val.images.float().flip(-1) / 255)]
once, twice = [(p.argmax(1) == val.label).float().mean().item() for p in (pair[0], sum(pair))]
check(
    asked_twice,
    lambda value: abs(value - twice) < 0.003,
    right=f"Right: {once:.1%} with one look, {twice:.1%} with two.",
    hint="Use images.flip(-1) for the mirror image, softmax(1) for probabilities, and add both up.",
)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# faces = val.images.float() / 255
# with torch.inference_mode():
#     both = model(faces).softmax(1) + model(faces.flip(-1)).softmax(1)
# asked_twice = (both.argmax(1) == val.label).float().mean().item()
# ```
# </details>
#
# ### 3. Cool it down
#
# Dividing all logits by a *temperature* $T$ changes no answer, only the confidence. Find the $T$ between 0.5 and 3 with
# the lowest cross-entropy on the *validation* faces. Above 1, the model was too sure of itself; below 1, too modest.

# %% tags=["exercise"]
temperature = None  # a number

# %% tags=["check"]
with torch.inference_mode():
    val_logits = model(val.images.float() / 255)
tried = np.arange(0.5, 3.001, 0.01)
coolest = tried[np.argmin([F.cross_entropy(val_logits / t, val.label).item() for t in tried])]
check(
    temperature,
    lambda value: abs(value - coolest) < 0.05,
    right="Right. Guo et al. (2017) show that this one number repairs most of a network's calibration.",
    hint="Try many values of T in a loop and keep the one with the smallest F.cross_entropy(logits / T, val.label).",
)

# %% [markdown]
# <details><summary><b>Solution</b></summary>
#
# ```python
# with torch.inference_mode():
#     logits = model(val.images.float() / 255)
# candidates = np.linspace(0.5, 3, 251)
# losses = [F.cross_entropy(logits / t, val.label).item() for t in candidates]
# temperature = candidates[int(np.argmin(losses))]
# ```
# </details>

# %% [markdown]
# ## What to take with you
#
# - Training is a loop of four lines: answer, loss, gradient, step.
# - Report overall *and* mean accuracy. Look at the classes one by one.
# - A model can be too sure, or not sure enough. Confidence has to be measured, like accuracy, and on the right faces.
#
# Next: **02 · RAC + RSL**, which learns rare emotions from common ones.
#
# ## References
#
# - C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger. *On calibration of modern neural networks.* ICML 2017.
# - R. R. Selvaraju and others. *Grad-CAM: visual explanations from deep networks via gradient-based localization.* ICCV
#   2017.
# - L. McInnes, J. Healy and J. Melville. *UMAP: uniform manifold approximation and projection for dimension reduction.*
#   arXiv 1802.03426, 2018.
# - K. He, X. Zhang, S. Ren and J. Sun. *Deep residual learning for image recognition.* CVPR 2016. The family of our
#   backbone.
# - L. DeBruine and B. Jones. *Face Research Lab London Set.* figshare 5047666, 2017 (CC BY 4.0).
# - S. Li and W. Deng. *Deep facial expression recognition: a survey.* IEEE Transactions on Affective Computing 13,
#   2022.
