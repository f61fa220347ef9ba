from dataclasses import replace

import pytest
import torch

from fercore.datasets import UNLABELLED, FaceDataset, Loader
from fercore.losses.fusion import kl_to_prediction
from fercore.methods import Clock, build, deploy
from fercore.methods.la_net import COMPONENTS
from fercore.training import TrainConfig, fit, loop
from fercore.training.checkpoints import load_method
from tests.faces import toy_dataset
from tests.oracles import la_net as oracle

LATE = Clock(9, 2, 10, 3)


@pytest.fixture(scope="module")
def faces():
    return toy_dataset(n=100, size=32).where("train")


def make(faces=None, **settings):
    method = build("la_net", preset="fast", **{"size": 32, "bank": 32, **settings})
    if faces is not None:
        method.before_training(faces)
    return method


def first_batch(method, faces, n=14):
    return next(Loader(faces, method.needs, n).epoch(0, 3))


def rows(tensor):
    return tensor.detach().tolist()


def layers(scorer):
    return [(rows(part.weight), rows(part.bias)) for part in (scorer.g1[0], scorer.g2[0], scorer.f[0], scorer.f[2])]


def test_losses_are_the_paper_s_equations(faces):
    """Two steps in evaluation mode: of the second, all that the first has left behind matters.

    The second batch shows one face twice, and the past epoch has left some faces confident and others ambiguous.
    """
    method = make(faces, k=3, omega=0.4, delta=0.4, temperature=0.7, points=2.0, target_teaches="everything").eval()
    past = torch.randn(len(faces), 7, generator=torch.Generator().manual_seed(0)).mul(2).softmax(1)
    method.before.copy_(past)
    method.now.copy_(past)
    loader = Loader(faces, method.needs, 10)
    first, second = (batch for _, batch in zip(range(2), loader.epoch(0, 3), strict=False))
    for values in (second.index, second.label, second.landmarks):
        values[9] = values[0]
    memory = dict(enumerate(past.tolist()))
    given, bank = dict(memory), []
    with torch.no_grad():
        for batch in (first, second):
            terms = method.losses(batch, LATE)
            names, seen = batch.index.tolist(), method.look(batch.image)
            p, voting = rows(seen["logits"].softmax(1)), rows((seen["logits"] / 0.7).softmax(1))
            found = []
            for i in range(len(names)):
                spaces = []
                for space, features in seen["features"].items():
                    x = rows(features)
                    near = oracle.neighbours(x, names, 3)[i]
                    spaces.append([(k, oracle.contribution(x[i], x[k], layers(method.scorers[space]))) for k in near])
                found.append(oracle.label_distribution(i, voting, spaces))
            alike = [[row for other, row in zip(names, found, strict=True) if other == name] for name in names]
            found = [[sum(values) / len(views) for values in zip(*views, strict=True)] for views in alike]
            d = [oracle.average(given[name], row, 0.4) for name, row in zip(names, found, strict=True)]
            memory.update(zip(names, d, strict=True))
            q = dict(zip(("expression", "landmarks"), rows(method.projectors(seen["features"])), strict=True))
            # the key networks are still as they were built: copies
            bank += [(k_u, k_v, name) for k_u, k_v, name in zip(q["expression"], q["landmarks"], names, strict=True)]
            pseudo = {name: oracle.pseudo_label(row, 0.4) for name, row in memory.items()}
            pairs = [(pseudo[name], name) for name in names]
            banks = {s: [(entry[s], pseudo[entry[2]], entry[2]) for entry in bank] for s in (0, 1)}
            l1 = oracle.contrast(q["expression"], q["landmarks"], pairs, banks[1], 0.1)
            l2 = oracle.contrast(q["landmarks"], q["expression"], pairs, banks[0], 0.1)
        own = [pseudo[name] for name in set(names)]
        assert -1 in own  # some are ambiguous
        assert len(set(own) - {-1}) < sum(label != -1 for label in own)  # and some confident ones belong together
        spread = method.branch.head.spread.item()
        difference = (32 * seen["points"] + 15.5 - batch.landmarks) / 32 / spread
    expected = {
        "cross_entropy": oracle.divergence(torch.eye(7)[batch.label].tolist(), p),
        "landmarks": 2 * difference.square().mean().item(),
        "divergence": oracle.divergence(d, p),
        "contrast": 0.1 * (l1 + l2),
    }
    assert {key: value.item() for key, value in terms.items()} == pytest.approx(expected, rel=2e-3)
    torch.testing.assert_close(method.now[batch.index], torch.tensor(d), rtol=1e-4, atol=1e-5)


def test_a_face_has_one_target_an_epoch(faces):
    """Equation 5 averages over epochs: a second visit in the same epoch replaces what the first has left."""
    method = make(faces, omega=0.5, components="LD").eval()
    batch = first_batch(method, faces)
    one_hot = torch.eye(7)[batch.label]
    fresh = method.vote(method.look(batch.image), batch.index)["label_distribution"]
    for _ in range(2):
        method.losses(batch, LATE)
        torch.testing.assert_close(method.now[batch.index], 0.5 * one_hot + 0.5 * fresh)
    method.before_epoch(LATE)
    method.losses(batch, LATE)
    torch.testing.assert_close(method.now[batch.index], 0.25 * one_hot + 0.75 * fresh)
    untouched = torch.ones(len(faces), dtype=torch.bool)
    untouched[batch.index] = False
    assert torch.equal(method.now[untouched], torch.eye(7)[faces.label][untouched])


def test_the_order_of_the_batch_does_not_matter(faces):
    batch = first_batch(make(), faces)
    order = torch.randperm(14, generator=torch.Generator().manual_seed(0))
    shuffled = replace(
        batch,
        image=batch.image[order], label=batch.label[order], index=batch.index[order], landmarks=batch.landmarks[order],
    )  # fmt: skip
    first, second = make(faces).eval(), make(faces).eval()
    expected, found = first.losses(batch, LATE), second.losses(shuffled, LATE)
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second.now, first.now)


@pytest.mark.parametrize("components", COMPONENTS)
def test_every_row_of_table_2_has_its_parts_and_no_others(faces, components):
    method = make(faces, components=components)
    batch = first_batch(method, faces)
    terms = method.losses(batch, LATE)
    sum(terms.values()).backward()
    parts = {"LD": "divergence", "LM": "landmarks", "EL": "contrast"}
    assert set(terms) == {"cross_entropy"} | {term for part, term in parts.items() if part in components}
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)
    with torch.no_grad():
        shown = method.eval().explain(batch)
    assert ("landmarks" in shown) == ("contributions_landmarks" in shown) == ("LM" in components)
    assert ("contributions_expression" in shown) == ("LD" in components)


def test_what_is_explained_is_what_the_votes_were(faces):
    method = make(faces, k=3).eval()
    batch = faces.batch(range(10))
    hidden = replace(batch, label=batch.label.masked_fill(torch.arange(10) == 0, UNLABELLED))
    with torch.no_grad():
        shown = method.explain(hidden)
    d, p = shown["label_distribution"], shown["probabilities"]
    for i in range(10):
        spaces = [
            list(zip(shown[f"neighbours_{s}"][i].tolist(), shown[f"contributions_{s}"][i].tolist(), strict=True))
            for s in ("expression", "landmarks")
        ]
        assert all(k != i and 0 < c < 1 for space in spaces for k, c in space)
        assert d[i].tolist() == pytest.approx(oracle.label_distribution(i, rows(p), spaces), rel=1e-4)
    torch.testing.assert_close(shown["confidence"][1:], d[1:][range(9), batch.label[1:]])
    assert shown["confidence"][0] == d[0].max()
    assert torch.equal(shown["target"], torch.eye(7)[batch.label])
    with torch.no_grad():
        alone = method.explain(faces.batch([4]))  # a photograph of one face: nobody else votes
    assert torch.equal(alone["label_distribution"], alone["probabilities"])
    assert alone["contributions_expression"].tolist() == [[0.0]]


def test_pairs_are_made_by_pseudo_labels_or_by_the_labels_given(faces):
    by_label, by_pseudo = make(faces, components="LD+LM+EL"), make(faces, delta=0.5)
    index = torch.arange(6)
    assert torch.equal(by_label.pair_labels(index), faces.label[:6])
    by_pseudo.now[:6] = torch.eye(7)[[6, 5, 4, 3, 2, 1]]
    by_pseudo.now[5] = 1 / 7
    assert by_pseudo.pair_labels(index).tolist() == [6, 5, 4, 3, 2, -1]


def test_hidden_labels_start_as_uniform_distributions(faces):
    some = faces.relabelled(torch.where(torch.arange(len(faces)) < 3, UNLABELLED, faces.label))
    method = make(some)
    assert torch.equal(method.now[:3], torch.full((3, 7), 1 / 7))
    assert torch.equal(method.now[3:], torch.eye(7)[faces.label[3:]])


def without_landmarks(faces: FaceDataset, keep: int) -> FaceDataset:
    landmarks = faces.landmarks.clone()
    landmarks[keep:] = torch.nan
    return replace(faces, landmarks=landmarks)


def test_faces_without_landmarks_are_masked_not_dropped(faces):
    method = make(faces).eval()
    batch = first_batch(method, faces)
    half = replace(batch, landmarks=batch.landmarks.clone())
    half.landmarks[7:] = torch.nan
    part = replace(batch, image=batch.image[:7], index=batch.index[:7], label=batch.label[:7])
    part.landmarks = batch.landmarks[:7]
    seen, alone = method.losses(half, LATE), make(faces).eval().losses(part, LATE)
    torch.testing.assert_close(seen["landmarks"], alone["landmarks"])
    whole = make(faces).eval().losses(batch, LATE)
    torch.testing.assert_close(seen["cross_entropy"], whole["cross_entropy"])
    torch.testing.assert_close(seen["divergence"], whole["divergence"])
    sum(seen.values()).backward()
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)
    none = replace(batch, landmarks=torch.full_like(batch.landmarks, torch.nan))
    assert make(faces).eval().losses(none, LATE)["landmarks"] == 0


def test_no_landmarks_in_the_training_set_are_an_error_with_its_mend(faces):
    with pytest.raises(ValueError, match="no training face has all 68"):
        make(without_landmarks(faces, 0))


def test_few_landmarks_in_the_training_set_still_train(faces):
    for keep in (20, 1):
        data = without_landmarks(faces, keep)
        method = make()
        (entry,) = fit(method, data, TrainConfig(epochs=1, batch_size=16, amp="no"))
        assert all(value == value for value in entry["losses"].values())
        assert all(p.isfinite().all() for p in method.parameters())


def gradients(faces, teaches):
    """Of the KL divergence's target alone: by part of the method whether anything arrives."""
    method = make(faces, target_teaches=teaches)
    batch = first_batch(method, faces)
    seen = method.look(batch.image)
    target = method.target(seen, batch.index)
    if target.requires_grad:
        kl_to_prediction(target, seen["logits"].detach(), batch.label).backward()
    parts = {"net": method.net, "branch": method.branch, "scorers": method.scorers}
    return {
        name
        for name, part in parts.items()
        if any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    }


def test_what_the_target_teaches(faces):
    assert gradients(faces, "everything") == {"net", "branch", "scorers"}
    assert gradients(faces, "scores") == {"scorers"}
    assert gradients(faces, "nothing") == set()


def test_the_key_networks_follow_and_take_no_gradient(faces):
    method = make(faces, momentum=0.9)
    batch = first_batch(method, faces)
    sum(method.losses(batch, LATE).values()).backward()
    assert all(p.grad is None for p in method.keys.parameters())
    key, query = method.keys.projectors.g["expression"][0].weight, method.projectors.g["expression"][0].weight
    before = key.clone()
    with torch.no_grad():
        query += 1
    method.after_step(Clock(100, 0, 1, 1))
    torch.testing.assert_close(key, before + 0.1)
    assert not method.train().keys.trunk.training
    assert method.projectors.training


def test_a_killed_training_resumes_to_the_same_bits(faces, tmp_path, monkeypatch):
    config = TrainConfig(epochs=3, batch_size=16, lr=3e-3, checkpoint_seconds=0)
    whole = make()
    fit(whole, faces, config)

    class Killed(Exception):
        pass

    saves = iter(range(1000))
    save_state = loop.save_state

    def dying_save(*arguments):
        save_state(*arguments)
        if next(saves) == 6:  # within the second epoch
            raise Killed

    monkeypatch.setattr(loop, "save_state", dying_save)
    with pytest.raises(Killed):
        fit(make(), faces, config, out=tmp_path)
    monkeypatch.undo()
    resumed = make(seed=9)
    fit(resumed, faces, config, out=tmp_path, resume=True)
    expected, found = whole.state_dict(), resumed.state_dict()
    assert {key for key in expected if not torch.equal(expected[key], found[key])} == set()
    assert not torch.equal(whole.now, torch.eye(7)[faces.label])
    loaded = load_method(tmp_path)
    assert torch.equal(loaded.now, whole.now)
    image = faces.batch([0, 1]).image
    with torch.no_grad():
        assert torch.equal(loaded.landmarks(image), whole.eval().landmarks(image))


def test_it_learns_where_the_landmarks_are(faces):
    method = make(components="LD+LM")
    history = fit(method, faces, TrainConfig(epochs=12, batch_size=24, lr=5e-3))
    assert history[-1]["losses"]["landmarks"] < 0.5 * history[0]["losses"]["landmarks"]
    batch = faces.batch(range(len(faces)))
    with torch.no_grad():
        off = (method.eval().landmarks(batch.image) - batch.landmarks).norm(dim=2).mean()
        mean = (batch.landmarks.mean(0) - batch.landmarks).norm(dim=2).mean()
    assert off < mean


def test_landmarks_are_the_mean_of_both_sides_of_the_mirror(faces):
    method, image = make(faces).eval(), faces.batch(range(4)).image
    with torch.no_grad():
        plain, other = (32 * method.look(view)["points"] + 15.5 for view in (image, image.flip(3)))
        found, mirrored = method.landmarks(image), method.landmarks(image.flip(3))
    for point, partner in ((0, 16), (8, 8), (36, 45), (48, 54)):  # corners of jaw, chin, eyes and mouth
        by_hand = [
            (plain[:, point, 0] + 31 - other[:, partner, 0]) / 2,
            (plain[:, point, 1] + other[:, partner, 1]) / 2,
        ]
        torch.testing.assert_close(found[:, point], torch.stack(by_hand, 1), rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(mirrored[:, partner, 0], 31 - found[:, point, 0], rtol=1e-4, atol=1e-3)


def test_what_is_deployed_is_the_plain_backbone_and_what_is_saved_still_finds_landmarks(faces):
    method = make(faces).eval()
    baseline = build("baseline", preset="fast", size=32)
    assert {*deploy(method).state_dict()} == {*deploy(baseline).state_dict()}
    image = faces.batch(range(4)).image
    with torch.no_grad():
        large = torch.nn.functional.interpolate(image, scale_factor=2)
        small = method.landmarks(image)
        # in an image twice as large, a place is twice as far from the corner (which is no pixel's centre)
        torch.testing.assert_close(method.landmarks(large), 2 * (small + 0.5) - 0.5, atol=0.5, rtol=0)
    for other in (make(components="LD"), baseline):
        with pytest.raises(ValueError, match="predicts no landmarks; train la_net"):
            other.landmarks(image)


def test_place_size_and_turn_of_a_face_are_no_part_of_its_pattern(faces):
    """v has no say in them: however it changes the landmarks, their centre, size and turn stay."""
    branch = make(faces).branch.head.eval()
    feature_map = torch.randn(5, branch.v.in_features // 16, 4, 4)
    with torch.no_grad():
        _, before = branch(feature_map)
        branch.points.weight.mul_(-3).add_(0.1)
        _, after = branch(feature_map)
        moved = after - before
        assert moved.abs().max() > 0.01
        mean = branch.mean.view(68, 2)
        centred = mean - mean.mean(0)
        turned = torch.stack([-centred[:, 1], centred[:, 0]], 1)
        torch.testing.assert_close(moved.mean(1), torch.zeros(5, 2), atol=1e-5, rtol=0)
        for direction in (centred, turned):
            torch.testing.assert_close(moved.flatten(1) @ direction.flatten(), torch.zeros(5), atol=1e-4, rtol=0)
        torch.testing.assert_close(branch.frame.T @ branch.frame, torch.eye(4), atol=1e-5, rtol=0)
    assert branch.spread.item() == pytest.approx(
        ((faces.landmarks / 32).flatten(1).var(0).mean().sqrt()).item(), rel=1e-4
    )


def test_heatmaps_are_an_option(faces):
    method = make(faces, landmark_head="heatmap")
    sum(method.losses(first_batch(method, faces), LATE).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.branch.parameters())
    head = method.branch.head
    with torch.no_grad():
        for p in head.parameters():
            p.zero_()
        head.reduce.weight[0, 0] = 1  # the one channel of v that is not dark, in which all 68 see their heat
        head.heat.weight[:, 0] = 400
        feature_map = torch.zeros(1, head.reduce.in_channels, 4, 4)
        feature_map[0, 0, 3, 0] = 1  # bottom left
        v, points = head(feature_map)
    corner = torch.tensor([-0.5 + 1 / 16, 0.5 - 1 / 16])  # the middle of the four hottest places of 16 x 16
    torch.testing.assert_close(points, corner.expand(1, 68, 2), atol=1e-3, rtol=0)
    assert v.shape == (1, 64)


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_other_backbones(backbone):
    data = toy_dataset(n=60, size=64).where("train")
    method = make(data, backbone=backbone, size=64, split="stage4")
    sum(method.losses(first_batch(method, data), LATE).values()).backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"components": "EL"}, "unknown components 'EL'; known are none, LD, LD\\+LM"),
        ({"split": "stem"}, "unknown split 'stem'"),
        ({"target_teaches": "all"}, "unknown target_teaches 'all'"),
        ({"landmark_head": "crystal"}, "unknown landmark_head 'crystal'; known are pattern, heatmap"),
        ({"sampler": "fair"}, "unknown sampler 'fair'"),
        ({"omega": 1.5}, "omega must lie in \\[0, 1\\]"),
        ({"k": 0}, "k, bank, projected and feature must be at least 1"),
        ({"tau": 0.0}, "tau and temperature must be above 0"),
        ({"points": -1.0}, "alpha, beta and points at least 0"),
        ({"temperature": 0.0}, "tau and temperature must be above 0"),
    ],
)
def test_bad_settings_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        make(**settings)


def test_a_bank_smaller_than_the_batch_is_refused(faces):
    method = make(faces, bank=8)
    with pytest.raises(ValueError, match="bank of 8 keys cannot hold a batch of 14"):
        method.losses(first_batch(method, faces), LATE)


def test_in_the_quick_preset_votes_can_outweigh_a_label():
    """Otherwise every pseudo-label is the label given, and equation 8 does nothing."""
    method = build("la_net", preset="quick", weights=None)
    kept = method.config.omega ** TrainConfig.preset("quick", method).epochs
    assert kept < 0.5
    assert kept < method.config.delta
