# SPDX-License-Identifier: Apache-2.0
"""A plot of the latencies as one SVG file that needs nothing else; light and dark as the reader's system is."""
import html
import math

from isolation.table import ms, name_of

WIDTH, LABELS, ROW, BAR, TOP = 760, 250, 24, 14, 64
STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #222 } .soft { fill: #666 } .title { font-weight: 600; font-size: 14px }
.back { fill: #fff } .median { fill: #0b6e6e } .p99 { fill: #7fc4c4 } .unmanaged .median { fill: #a33a1a } .unmanaged .p99 { fill: #e8a98f } .grid { stroke: #ccc }
@media (prefers-color-scheme: dark) { text { fill: #eee } .soft { fill: #aaa } .back { fill: #181818 } .grid { stroke: #444 } }
</style>"""


def scale(us):
    """Logarithmic from 0.5 ms to 500 ms."""
    return LABELS + (WIDTH - LABELS - 60) * min(1, max(0, math.log10(us / 500) / 3))


def write(path, result):
    rows = result["latency"]
    height = TOP + ROW * len(rows) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Latency beside a noisy neighbour">', STYLE,
           f'<rect class="back" width="{WIDTH}" height="{height}"/>',
           '<text class="title" x="10" y="20">A kernel of 1 ms every 20 ms, beside a noisy neighbour</text>',
           f'<text class="soft" x="10" y="38">latency, median (dark) and p99 (light), logarithmic; neighbour: kernels of {result["heavy_ms"]} ms; '
           f'{html.escape(result["gpu"])}{", a stand-in GPU" if result["stand_in"] else ""}</text>']
    for tick in (1, 10, 100):
        x = scale(tick * 1000)
        out.append(f'<line class="grid" x1="{x:.0f}" x2="{x:.0f}" y1="{TOP - 8}" y2="{height - 22}"/><text class="soft" x="{x:.0f}" y="{height - 8}">{tick} ms</text>')
    for i, row in enumerate(rows):
        y = TOP + i * ROW
        label = name_of(row["way"]) + (f", {row['noise']}" if row["noise"] else "")
        group = "unmanaged" if row["way"] in ("native", "none") else "managed"
        out.append(f'<g class="{group}"><text x="10" y="{y + 11}">{html.escape(label)}</text>'
                   f'<rect class="p99" x="{LABELS}" y="{y}" width="{scale(row["p99_us"]) - LABELS:.1f}" height="{BAR}"/>'
                   f'<rect class="median" x="{LABELS}" y="{y}" width="{scale(row["median_us"]) - LABELS:.1f}" height="{BAR}"/>'
                   f'<text x="{scale(row["p99_us"]) + 5:.0f}" y="{y + 11}">{ms(row["median_us"])} / {ms(row["p99_us"])}</text></g>')
    path.write_text("\n".join(out) + "\n</svg>\n")
