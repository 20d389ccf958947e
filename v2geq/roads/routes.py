"""Base routes: the k simple routes of least free-flow time."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import pairwise

import numpy as np

from v2geq.roads.graph import Graph


def k_shortest_routes(graph: Graph, origin: int, destination: int, k: int) -> list[tuple[int, ...]]:
    """The `k` simple routes of least free-flow time, as arc positions.

    Yen's algorithm with a bidirectional search for the deviations. Times are compared in minutes.
    Routes of equal time come in the order of discovery, which is the order of
    `networkx.shortest_simple_paths` on the graph with the arcs added in table order (networkx 3.6;
    tested): a published reference case was made with the first K of that order, and with many
    ties, as in Sioux Falls, another order gives another set of K routes. Of parallel arcs the
    fastest is used. Nodes that are not `through` are not passed.

    Returns fewer than `k` routes if there are no more, [()] if origin and destination coincide.
    """
    if origin == destination:
        return [()] if k else []
    following, preceding = graph.neighbours
    closed = bytearray((~graph.through).astype(np.uint8).tobytes())
    closed[origin] = closed[destination] = 0
    minutes = graph.route_minutes
    arc_of = graph.fastest_arc
    found: list[list[int]] = []
    heap: list[tuple[float, int, list[int]]] = []
    waiting: set[tuple[int, ...]] = set()
    first = _bidirectional(following, preceding, origin, destination, closed, frozenset())
    if first is None:
        return []
    heappush(heap, (first[0], 0, first[1]))
    waiting.add(tuple(first[1]))
    pushed = 1
    while heap and len(found) < k:
        _, _, route = heappop(heap)
        waiting.discard(tuple(route))
        found.append(route)
        if len(found) == k:
            break
        blocked = bytearray(closed)
        # routes that share the root walked so far; they shrink as the root grows
        sharing = found
        root_minutes = 0.0
        for i, spur in enumerate(route[:-1]):
            if i:
                root_minutes += minutes[arc_of[route[i - 1], spur]]
            sharing = [r for r in sharing if len(r) > i + 1 and r[i] == spur]
            banned = frozenset(r[i + 1] for r in sharing)
            if any(n not in banned and not blocked[n] for n, _ in following[spur]):
                way = _bidirectional(following, preceding, spur, destination, blocked, banned)
                if way is not None:
                    nodes = route[:i] + way[1]
                    name = tuple(nodes)
                    if name not in waiting:
                        heappush(heap, (root_minutes + way[0], pushed, nodes))
                        pushed += 1
                        waiting.add(name)
            blocked[spur] = 1
    return [tuple(arc_of[ends] for ends in pairwise(r)) for r in found]


def _bidirectional(
    following: list[list[tuple[int, float]]],
    preceding: list[list[tuple[int, float]]],
    source: int,
    target: int,
    blocked: bytearray,
    banned: frozenset[int],
) -> tuple[float, list[int]] | None:
    """Fastest way from `source` to `target`: (minutes, nodes), None if there is none.

    Nodes in `blocked` are avoided, and the arcs from the source to nodes in `banned`. The two
    searches take turns and equal distances are settled first come, first served: ties of
    `k_shortest_routes` depend on it.
    """
    seen: tuple[dict[int, float], dict[int, float]] = ({source: 0.0}, {target: 0.0})
    parent: tuple[dict[int, int], dict[int, int]] = ({}, {})
    done: tuple[set[int], set[int]] = (set(), set())
    fringe: tuple[list[tuple[float, int, int]], ...] = ([(0.0, 0, source)], [(0.0, 1, target)])
    pushed = 2
    side, best, meeting = 1, np.inf, -1
    while fringe[0] and fringe[1]:
        side = 1 - side
        distance, _, v = heappop(fringe[side])
        mine, other = seen[side], seen[1 - side]
        settled = done[side]
        if v in settled:
            continue
        settled.add(v)
        if v in done[1 - side]:
            # every improvement of a label was compared with `best`, so the ways of both searches
            # from the meeting node are the ones that gave it
            nodes = [meeting]
            while nodes[-1] != source:
                nodes.append(parent[0][nodes[-1]])
            nodes.reverse()
            while nodes[-1] != target:
                nodes.append(parent[1][nodes[-1]])
            return best, nodes
        for w, cost in (preceding if side else following)[v]:
            if blocked[w] or w in settled:
                continue
            if banned and (v in banned and w == source if side else v == source and w in banned):
                continue
            reached = distance + cost
            if w not in mine or reached < mine[w]:
                mine[w] = reached
                parent[side][w] = v
                heappush(fringe[side], (reached, pushed, w))
                pushed += 1
                if w in other and reached + other[w] < best:
                    best = reached + other[w]
                    meeting = w
    return None
