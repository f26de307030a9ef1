"""Compiles the two loops of the forest engine for the processor that it runs on.

It knows no model: all that it is told is how many bits a rank has. It never changes the order of
an addition, and reads and writes only what it was given.

The text below is the assembly language of LLVM. It is compiled anew in each process, in some
50 ms, so nothing compiled is ever kept on disk, where somebody could change it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from string import Template
from typing import Any

from propensia import processes

try:
    import llvmlite.binding as llvm
except ImportError:  # the extra `fast` is not installed: ONNX Runtime does the work
    llvm = None

GROUP = 32
"""Rows that lie side by side: column by column, the ranks of 32 rows."""

TOP = 4
"""The levels of a tree for which every split is compared for all rows of a group at once."""

NODE_CHILD, NODE_RANK = 40, 16
"""Where the first child and the rank begin in the 64 bits of a node; at 0 is the column."""

LARGEST_RANK, LARGEST_CHILD, LARGEST_PLACE = (1 << 24) - 1, (1 << 24) - 1, (1 << 16) - 1

# Rows that walk down a tree in turn, so that one is compared while another waits for memory.
_LANES = 16
# Values that are looked for in one list of thresholds at a time.
_SEARCHED = 8


class NotCompiled(Exception):
    """The compiler is too old, or may not make code on this machine."""


class Code:
    """The compiled loops, for ranks of ``bits`` bits (16 or 32). Safe for several threads.

    ``rank(values, rows, cuts, count, missing, ranks, stride)``: how many of ``count`` (1 or
    more) ascending doubles are less than each of ``rows`` doubles, ``missing`` for NaN. The
    first rank is written to ``ranks``, that of row i ``i // 32 * stride + i % 32`` ranks on;
    ``rows`` is a multiple of 32.

    ``walk(ranks, groups, stride, places, tops, nodes, values, starts, depths, trees, sums,
    row_step, tree_step)``: adds what each tree says of each row to the double that lies
    ``row * row_step + tree * tree_step`` behind ``sums``, tree after tree.

    Both take addresses and whole numbers, and trust them; ``forest_trees`` says how trees lie.
    """

    def __init__(self, bits: int) -> None:
        """Raises ``NotCompiled``."""
        # LLVM does not look at what the system says, and would take the whole process down.
        if not processes.may_make_code():
            raise NotCompiled("this process may not make memory executable")
        try:
            self._engine = _compiled(f"i{bits}")
        # An older binding has other names; what LLVM itself refuses is a RuntimeError.
        except (AttributeError, RuntimeError) as error:
            raise NotCompiled(str(error)) from error
        whole, address = ctypes.c_int64, ctypes.c_void_p
        self.rank = self._function("rank", address, whole, address, whole, whole, address, whole)
        self.walk = self._function(
            "walk", address, whole, whole, *[address] * 6, whole, address, whole, whole
        )

    def _function(self, name: str, *takes: Any) -> Callable[..., None]:
        made = ctypes.CFUNCTYPE(None, *takes)
        return made(self._engine.get_function_address(name))


def _compiled(kind: str) -> Any:
    """LLVM's engine with both loops for ranks of this type, for the processor at hand."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )
    module = llvm.parse_assembly(_rank(kind) + _walk(kind))
    module.verify()
    # Gathers are slower than rows that take turns, so no loop may be made of them.
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_vectorization = False
    passes = llvm.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def available() -> bool:
    """Whether there is a compiler."""
    return llvm is not None


def _all(count: int, kind: str, value: str) -> str:
    """A constant vector of the same value."""
    return "<" + ", ".join([f"{kind} {value}"] * count) + ">"


_START = """  %mine.$k = getelementptr $kind, ptr %slots, i64 $k
  %slot.$k = load $kind, ptr %mine.$k, align 2
  %start.$k = zext $kind %slot.$k to i64"""

_STEP = f"""  %node.at.$k = getelementptr i64, ptr %nodes, i64 %node.$k
  %word.$k = load i64, ptr %node.at.$k, align 8
  %column.of.$k = and i64 %word.$k, {LARGEST_PLACE}
  %rank.of.$k = getelementptr $kind, ptr %mine, i64 %column.of.$k
  %rank.at.$k = getelementptr $kind, ptr %rank.of.$k, i64 $k
  %rank.$k = load $kind, ptr %rank.at.$k, align 2
  %wide.$k = zext $kind %rank.$k to i64
  %limit.wide.$k = lshr i64 %word.$k, {NODE_RANK}
  %limit.$k = and i64 %limit.wide.$k, {LARGEST_RANK}
  %past.$k = icmp ugt i64 %wide.$k, %limit.$k
  %second.$k = zext i1 %past.$k to i64
  %first.$k = lshr i64 %word.$k, {NODE_CHILD}
  %child.$k = add i64 %first.$k, %second.$k"""
"""One step down: the first child, or the one behind it where the rank is greater."""

_LEAF = """  %value.at.$k = getelementptr double, ptr %values, i64 %node.$k
  %value.$k = load double, ptr %value.at.$k, align 8
  %ahead.$k = mul i64 %row.step, $k
  %sum.of.$k = getelementptr double, ptr %sum, i64 %ahead.$k
  %before.$k = load double, ptr %sum.of.$k, align 8
  %after.$k = fadd double %before.$k, %value.$k
  store double %after.$k, ptr %sum.of.$k, align 8"""

_RANK = Template("""\
declare $doubles $take(<$count x ptr>, i32, $flags, $doubles)
define void @rank(ptr noalias %values, i64 %rows, ptr noalias %cuts, i64 %count, i64 %missing,
                  ptr noalias %ranks, i64 %stride) {
entry:
  %narrow = trunc i64 %missing to $kind
  %first = insertelement $ranks poison, $kind %narrow, i32 0
  %absent = shufflevector $ranks %first, $ranks poison, $zeros
  br label %row
row:
  %at = phi i64 [0, %entry], [%next, %found]
  %here = getelementptr double, ptr %values, i64 %at
  %sought = load $doubles, ptr %here, align 8
  br label %search
search:
  %low = phi $wholes [zeroinitializer, %row], [%lower, %halve]
  %size = phi i64 [%count, %row], [%rest, %halve]
  %many = icmp ugt i64 %size, 1
  br i1 %many, label %halve, label %found
halve:
  %half = lshr i64 %size, 1
  %rest = sub i64 %size, %half
  %half.0 = insertelement $wholes poison, i64 %half, i32 0
  %halves = shufflevector $wholes %half.0, $wholes poison, $zeros
  %middle = add $wholes %low, %halves
  %before = add $wholes %middle, $minus
  %places = getelementptr double, ptr %cuts, $wholes %before
  %cut = call $doubles $take(<$count x ptr> %places, i32 8, $flags $always, $doubles poison)
  %above = fcmp olt $doubles %cut, %sought
  %lower = select $flags %above, $wholes %middle, $wholes %low
  br label %search
found:
  %last = getelementptr double, ptr %cuts, $wholes %low
  %end = call $doubles $take(<$count x ptr> %last, i32 8, $flags $always, $doubles poison)
  %beyond = fcmp olt $doubles %end, %sought
  %one = zext $flags %beyond to $wholes
  %sum = add $wholes %low, %one
  %known = trunc $wholes %sum to $ranks
  %gone = fcmp uno $doubles %sought, zeroinitializer
  %answer = select $flags %gone, $ranks %absent, $ranks %known
  %group = udiv i64 %at, $group
  %lane = urem i64 %at, $group
  %begin = mul i64 %group, %stride
  %place = add i64 %begin, %lane
  %into = getelementptr $kind, ptr %ranks, i64 %place
  store $ranks %answer, ptr %into, align 2
  %next = add i64 %at, $count
  %more = icmp ult i64 %next, %rows
  br i1 %more, label %row, label %done
done:
  ret void
}
""")
"""Eight binary searches in step: each halves the same list, so they never part ways."""

_WALK = Template("""\
define void @walk(ptr noalias %ranks, i64 %groups, i64 %stride,
                  ptr noalias %all.places, ptr noalias %all.tops,
                  ptr noalias %all.nodes, ptr noalias %all.values,
                  ptr noalias %starts, ptr noalias %depths, i64 %trees,
                  ptr noalias %sums, i64 %row.step, i64 %tree.step) {
entry:
  %top = alloca $slots, align 64
  br label %tree
tree:
  %t = phi i64 [0, %entry], [%t.next, %tree.end]
  %start.at = getelementptr i64, ptr %starts, i64 %t
  %start = load i64, ptr %start.at, align 8
  %depth.at = getelementptr i64, ptr %depths, i64 %t
  %depth = load i64, ptr %depth.at, align 8
  %nodes = getelementptr i64, ptr %all.nodes, i64 %start
  %values = getelementptr double, ptr %all.values, i64 %start
  %tops.at = mul i64 %t, $splits
  %places = getelementptr i32, ptr %all.places, i64 %tops.at
  %tops = getelementptr $kind, ptr %all.tops, i64 %tops.at
  %own.at = mul i64 %t, %tree.step
  %own = getelementptr double, ptr %sums, i64 %own.at
  br label %group
group:
  %g = phi i64 [0, %tree], [%g.next, %group.end]
  %rows.at = mul i64 %g, %stride
  %rows = getelementptr $kind, ptr %ranks, i64 %rows.at
$top
  %row.first = mul i64 %g, $group
  br label %lanes
lanes:
  %lane = phi i64 [0, %group], [%lane.next, %leaf]
  %slots = getelementptr $kind, ptr %top, i64 %lane
  %mine = getelementptr $kind, ptr %rows, i64 %lane
$starts
  br label %look
look:
$turns
  %left = phi i64 [%depth, %lanes], [%left.next, %step]
  %deeper = icmp ne i64 %left, 0
  br i1 %deeper, label %step, label %leaf
step:
$steps
  %left.next = sub i64 %left, 1
  br label %look
leaf:
  %row = add i64 %row.first, %lane
  %sum.at = mul i64 %row, %row.step
  %sum = getelementptr double, ptr %own, i64 %sum.at
$leaves
  %lane.next = add i64 %lane, $lanes
  %lane.more = icmp ult i64 %lane.next, $group
  br i1 %lane.more, label %lanes, label %group.end
group.end:
  %g.next = add i64 %g, 1
  %g.more = icmp ult i64 %g.next, %groups
  br i1 %g.more, label %group, label %tree.end
tree.end:
  %t.next = add i64 %t, 1
  %t.more = icmp ult i64 %t.next, %trees
  br i1 %t.more, label %tree, label %done
done:
  ret void
}
""")
"""Tree by tree, group by group: the top for all rows at once, then sixteen rows in turn."""


def _rank(kind: str) -> str:
    count = _SEARCHED
    return _RANK.substitute(
        kind=kind,
        count=count,
        group=GROUP,
        doubles=f"<{count} x double>",
        wholes=f"<{count} x i64>",
        flags=f"<{count} x i1>",
        ranks=f"<{count} x {kind}>",
        zeros=f"<{count} x i32> zeroinitializer",
        always=_all(count, "i1", "true"),
        minus=_all(count, "i64", "-1"),
        take=f"@llvm.masked.gather.v{count}f64.v{count}p0",
    )


def _walk(kind: str) -> str:
    return _WALK.substitute(
        kind=kind,
        group=GROUP,
        lanes=_LANES,
        slots=f"<{GROUP} x {kind}>",
        splits=(1 << TOP) - 1,
        top=_top(kind),
        starts=_each(_START, kind),
        turns=_each("  %node.$k = phi i64 [%start.$k, %lanes], [%child.$k, %step]", kind),
        steps=_each(_STEP, kind),
        leaves=_each(_LEAF, kind),
    )


def _each(text: str, kind: str) -> str:
    """The same for each of the rows that walk in turn."""
    lines = Template(text)
    return "\n".join(lines.substitute(k=lane, kind=kind) for lane in range(_LANES))


def _top(kind: str) -> str:
    """The slot, 0 to 15, that each row of a group reaches.

    A split sets its bit in the rows that come by and go right.
    """
    ranks, flags = f"<{GROUP} x {kind}>", f"<{GROUP} x i1>"
    zeros = f"<{GROUP} x i32> zeroinitializer"
    lines, slot = [], "zeroinitializer"
    here = {0: _all(GROUP, "i1", "true")}
    for split in range((1 << TOP) - 1):
        level = (split + 1).bit_length() - 1
        bit = _all(GROUP, kind, str(1 << (TOP - 1 - level)))
        lines.append(f"""  %place.at.{split} = getelementptr i32, ptr %places, i64 {split}
  %place.{split} = load i32, ptr %place.at.{split}, align 4
  %column.{split} = zext i32 %place.{split} to i64
  %group.at.{split} = getelementptr {kind}, ptr %rows, i64 %column.{split}
  %ranks.{split} = load {ranks}, ptr %group.at.{split}, align 2
  %cut.at.{split} = getelementptr {kind}, ptr %tops, i64 {split}
  %cut.{split} = load {kind}, ptr %cut.at.{split}, align 2
  %cut.0.{split} = insertelement {ranks} poison, {kind} %cut.{split}, i32 0
  %cuts.{split} = shufflevector {ranks} %cut.0.{split}, {ranks} poison, {zeros}
  %beyond.{split} = icmp ugt {ranks} %ranks.{split}, %cuts.{split}
  %within.{split} = icmp ule {ranks} %ranks.{split}, %cuts.{split}
  %right.{split} = and {flags} {here[split]}, %beyond.{split}
  %left.{split} = and {flags} {here[split]}, %within.{split}
  %set.{split} = or {ranks} {slot}, {bit}
  %slot.all.{split} = select {flags} %right.{split}, {ranks} %set.{split}, {ranks} {slot}""")
        here[2 * split + 1], here[2 * split + 2] = f"%left.{split}", f"%right.{split}"
        slot = f"%slot.all.{split}"
    lines.append(f"  store {ranks} {slot}, ptr %top, align 64")
    return "\n".join(lines)
