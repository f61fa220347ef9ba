"""BlendFER's data card, with its figures drawn from the audit."""

from __future__ import annotations

from pathlib import Path

CARD = """# BlendFER version 1: data card

16,000 rendered faces of 64 x 64 pixels for facial expression recognition. Each shows a blend of up to two of eight
emotions at some intensity, so the **true distribution** p(emotion | face) is known; ten simulated annotators label it,
who confuse emotions as the annotators of FER+ do. Rebuilt by `python -m data_prep.blendfer faces`; frozen with the
checksum in `faces.parquet.sha256`.

![contact sheet](contact_sheet.webp)

## What a row holds
`image` (WebP), `label` (majority of the votes), `split`, `subject` (seed of the person), `distribution` (8), `votes`
(8, summing to 10), `landmarks` (68 x 2 pixels, iBUG order), what was meant (`emotion`, `second`, `share_second`,
`intensity`, `variant`, `units`: 52 face units), who is shown (`age`, `gender`, ...), and every field of the scene.
`fercore.renderer.rows.rerender(row)` renders the picture again, at any size, with any field changed.

Neutral faces carry up to 18 % of another expression, all others 50 to 100 % of theirs. Six in ten of those mix in a
second emotion, by 10 to 48 %. In the true distribution the shares are raised to the power 1.6 (a mixture of 65 and 35 %
looks like 73 and 27 %), and neutral takes what is too faint to be seen (`fercore.renderer.expressions`).

## Counts and agreement
{agreement}

The label is the majority in every split, as in real datasets: accuracy against it cannot reach 100 %. Where accuracy
against the truth is wanted, use the argmax of `distribution` (`overall_truth` in results).

## Is there a way to the label past the face?
A random forest that sees only what is named below predicts the intended emotion of test faces this well. Chance, the
largest class, is {chance:.3f}, with a standard error of {error:.3f}.

{leaks}

No person is in two splits ({shared} shared). The nearest training face of each test face (16 x 16 pixels, correlation)
shows the same person in {same} of {tested:,} cases and correlates at most {highest:.3f} with it (median {median:.3f}).
Framing is taken from the neutral head.

{wrinkles}

## Limits
Rendered faces are not photographs: skin, hair and teeth are simple, hands are blobs, shadows are soft and never cast.
Expressions follow the FACS literature, not recordings of people; p(emotion | face) is defined by the blend, not by a
poll. Age, gender and ancestry are parameters of a mesh, not of people. Nothing learnt here says what a person feels.

## Licence and credit
CC0 1.0. The head is cut from MakeHuman and MPFB2 assets (CC0 1.0) and the Face Units pack by Mika Suominen (CC0 1.0).
The annotators' confusion is estimated from the FER+ vote table (Barsoum et al., 2016, MIT).
"""


def write_card(report: dict, path: Path) -> None:
    """Write the card from an audit's report."""
    titles = (
        "split",
        "faces",
        "people",
        "majority differs from truth",
        "share of the majority",
        "entropy of the truth, nats",
    )
    rows = [f"| {' | '.join(titles)} |", "|---|---|---|---|---|---|"]
    for name, part in report["agreement"].items():
        rows.append(
            f"| {name} | {part['faces']:,} | {part['people']:,} | {part['majority_differs_from_truth']:.1%} "
            f"| {part['mean_share_of_majority']:.1%} | {part['mean_entropy_nats']:.2f} |"
        )
    leaks = dict(report["leaks"])
    chance, error = leaks.pop("chance"), leaks.pop("standard_error")
    table = [
        "| what it sees | accuracy |",
        "|---|---|",
        *(f"| {name} | {value:.3f} |" for name, value in leaks.items()),
    ]
    near = report["neighbours"]
    lines = ""
    if "wrinkles" in report:
        w = report["wrinkles"]
        lines = (
            "Painted lines (forehead, nose, smile) follow the face units and might be a short cut. A trained baseline "
            f"reaches {w['as_shipped']:.1%} on the test faces as shipped,\n{w['rendered_again']:.1%} on the same faces "
            f"rendered again, and {w['without_lines']:.1%} when they are rendered without these lines."
        )
    text = CARD.format(
        agreement="\n".join(rows),
        leaks="\n".join(table),
        chance=chance,
        error=error,
        shared=near["shared_people"],
        same=near["nearest_is_same_person"],
        tested=report["agreement"]["test"]["faces"],
        highest=near["highest_correlation"],
        median=near["median_correlation"],
        wrinkles=lines,
    )
    path.write_text(text.replace("\n\n\n", "\n\n"))
