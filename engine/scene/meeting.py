"""Detections and targets brought together: whom each detection shows, who is new, who was missed."""

from __future__ import annotations

import math

import numpy as np

from ...vision import Box
from .appearance import Look, blended, likeness, likenesses, look_of
from .desk import Desk, Numbers, boxes_of, spread
from .detections import Detections
from .matching import pairs
from .memory import Known
from .overlap import distances, overlaps

_ALONE = 0.2  # overlap with another target, below which a target is seen alone
_REACH = 0.6  # how far a detection may be, in units of the size, of a target whose place is known
_STRAYS = 0.05  # how much farther for each frame without it, the more the less the flow is trusted
_FARTHEST, _SEARCHED = 2.5, 8.0
_NEAREST, _NEAR = 0.75, 3.0  # how far the lost are looked for where others look the same: at least, at most
_DRIFTS = 0.15  # how much farther a frame, in sizes, or twice as far as they moved
_TELLS = 0.05  # how much likelier than anybody else a look must be to tell
_DOUBTED = 0.4  # trust in the flow, below which a target may be elsewhere
_RIGHT, _WRONG = 0.15, 0.3  # how far off the flow may be, in sizes, and how much more is all wrong
_OTHER, _UNLIKE = 0.3, 0.25  # what another class costs, and another look
_DEAREST, _WEAK = 0.85, 0.6  # what a pair may cost: sure detections, weak ones
_NEW = 0.5  # overlap with a target that was detected, from which a weaker detection shows nobody new


def meet(desk: Desk, found: Detections) -> None:
    """One round of detections, already bounded: see `Detections.fitting`."""
    o = desk.options
    targets = [one for one in desk.known.values() if not one.is_lost or _is_fresh(desk, one)]
    left = list(range(len(found)))
    looks = [look_of(desk.frame.image, Box(*box)) for box in found.boxes.tolist()]
    is_first = desk.next_number == 1
    for low, high, dearest in ((o.match_score, 2.0, _DEAREST), (0.0, o.match_score, _WEAK)):
        rows = [one for one in targets if one.number not in desk.detected]
        columns = [place for place in left if low <= found.scores[place] < high]
        costs = _costs(desk, rows, found, columns, looks)
        for row, column in pairs(costs, dearest):
            _detected(desk, rows[row], found, columns[column])
            left.remove(columns[column])
    left = [place for place in left if found.scores[place] >= o.open_score]
    left = _found_again(desk, found, left, looks)
    for place in left:
        _new(desk, found, place, looks[place], is_first)
    for one in list(desk.known.values()):
        if one.number not in desk.detected and not one.pinned:
            _missed(desk, one)


def _costs(
    desk: Desk, targets: list[Known], found: Detections, columns: list[int], looks: list[Look]
) -> Numbers:
    """What each pair costs, (N, M); infinite where it cannot be."""
    here, there = boxes_of(targets), found.boxes[columns]
    shared, apart = overlaps(here, there), distances(here, there)
    stds = np.array([desk.filter_of(one.number).std[:2] for one in targets]).reshape(-1, 2)
    extents = np.sqrt(here[:, 2] * here[:, 3])
    strayed = np.array([_STRAYS * one.carried * (1.6 - one.trust) for one in targets])
    reach = np.minimum(_REACH + 2 * stds.max(axis=1, initial=0) / extents + strayed, _FARTHEST)[:, None]
    costs = 0.6 * (1 - shared) + 0.4 * np.minimum(apart / reach, 1.0)
    areas = (here[:, 2] * here[:, 3])[:, None] / (there[:, 2] * there[:, 3])[None]
    can_be = ((shared >= 0.1) | (apart <= reach)) & (areas >= 0.2) & (areas <= 5)
    costs[~can_be] = np.inf
    for row, column in zip(*np.nonzero(can_be), strict=True):
        one, place = targets[row], columns[column]
        costs[row, column] += _UNLIKE * (1 - likeness(one.look, looks[place]))
        if one.label and found.labels[place] and one.label != found.labels[place]:
            costs[row, column] += _OTHER
    return np.asarray(costs)


def _is_fresh(desk: Desk, one: Known) -> bool:
    return desk.seconds - one.seen <= desk.options.patience


def _detected(desk: Desk, one: Known, found: Detections, place: int, elsewhere: bool = False) -> None:
    """The target was seen by the detector; ``elsewhere`` than it was thought to be."""
    o, box, score = desk.options, Box(*found.boxes[place].tolist()), float(found.scores[place])
    if one.is_lost or elsewhere:  # nothing of its old motion holds
        filter = desk.filter_of(one.number)
        if filter.gate(box, spread(box, 0.1, 0.1)) > o.filter.gate:
            filter.restart(box)
            desk.change(one.number, belief=filter.belief)
    doubt = 1.5 - score
    desk.measure(one.number, box, spread(box, o.detection_std * doubt, o.detection_size * doubt))
    strayed = float(distances(boxes_of([one]), found.boxes[[place]])[0, 0]) / max(one.carried, 1) ** 0.5
    desk.detected.add(one.number)
    label = one.label if one.label else found.labels[place]
    desk.change(
        one.number,
        seen=desk.seconds, detected=desk.seconds, hits=one.hits + 1, misses=0, unsure=0, status="tracking",
        score=0.5 * one.score + 0.5 * score, shown=True, label=label, trust=1.0, led=False,
        fault=0.5 * one.fault + 0.5 * min(1.0, max(0.0, strayed - _RIGHT) / _WRONG),
    )  # fmt: skip
    if is_alone(desk, one.number):
        look = look_of(desk.frame.image, desk.known[one.number].box)
        desk.change(one.number, look=blended(one.look, look, 0.2))


def is_alone(desk: Desk, number: int) -> bool:
    """Whether a target's box is hardly met by another's."""
    others = [one for one in desk.known.values() if one.number != number and not one.is_lost]
    box = desk.known[number].box
    return all(box.iou(other.box) < _ALONE for other in others)


def _found_again(desk: Desk, found: Detections, left: list[int], looks: list[Look]) -> list[int]:
    """Targets that are lost, or in doubt, by what they look like; gives the detections that are left."""
    o = desk.options
    lost = [
        one
        for one in desk.known.values()
        if one.number not in desk.detected and (one.is_lost or one.unsure or one.trust < _DOUBTED)
    ]
    if not lost or not left:
        return left
    known = list(desk.known.values())
    alike = likenesses([one.look for one in known], [looks[place] for place in left])
    rivals = np.sort(np.concatenate([np.zeros((1, len(left))), alike]), axis=0)[-2:]
    apart, costs = distances(boxes_of(lost), found.boxes[left]), np.full((len(lost), len(left)), np.inf)
    labels = np.array([found.labels[place] for place in left])
    for row, one in enumerate(lost):
        own = alike[known.index(one)]
        tells = own - np.where(own == rivals[1], rivals[0], rivals[1]) > _TELLS
        far = min(2.0 + 4.0 * (desk.seconds - one.detected), _SEARCHED)
        reach = np.where(tells, far, min(far, _near(desk, one)))
        same = (labels == one.label) | (labels == "") | (one.label == "")
        can_be = same & (own >= o.appearance) & (apart[row] <= reach)
        costs[row, can_be] = ((1 - own) + 0.3 * apart[row] / reach)[can_be]
    taken = set()
    for row, column in pairs(costs, 1.0):
        _detected(desk, lost[row], found, left[column], elsewhere=True)
        taken.add(left[column])
    return [place for place in left if place not in taken]


def _near(desk: Desk, one: Known) -> float:
    """How far a target may have got by its own motion, in units of its size."""
    speed = math.hypot(*desk.filter_of(one.number).velocity[:2]) / math.sqrt(one.box.area)
    return min(_NEAREST + max(2 * speed, _DRIFTS) * one.carried, _NEAR)


def _new(desk: Desk, found: Detections, place: int, look: Look, is_first: bool) -> None:
    o, box, score = desk.options, Box(*found.boxes[place].tolist()), float(found.scores[place])
    if len(desk.known) >= o.most_targets:
        desk.ignored += 1
        return
    if any(desk.known[number].box.iou(box) > _NEW for number in desk.detected):
        desk.ignored += 1
        return
    number = desk.begin(
        box, score=score, label=found.labels[place], shown=is_first or score >= o.show_score, look=look,
    )  # fmt: skip
    desk.detected.add(number)


def _missed(desk: Desk, one: Known) -> None:
    """A round of detections without the target."""
    o, misses = desk.options, one.misses + 1
    twin = next(
        (
            number for number in sorted(desk.detected)
            if desk.known[number].box.iou(one.box) > o.duplicate - 0.15 and number != one.number
        ),
        None,
    )  # fmt: skip
    doubtful = one.hits == 1 and one.score < o.show_score
    double = twin is not None and one.hits <= desk.known[twin].hits
    if not one.shown or double or (doubtful and misses > 1):
        desk.end(one.number)
        if one.shown and twin is not None:
            desk.merged.append((one.number, twin))
        return
    weak = doubtful or (misses >= o.misses and desk.seconds - one.detected >= o.missed_for)
    desk.change(one.number, misses=misses, status="lost" if weak else one.status)
