"""page.py -- the replay as one self-contained HTML page: no scripts, no outside requests, light and dark."""
import os
from html import escape

import verdict
from script import REGIONS

STEP = 0.4 # seconds a point of the drawing stands for: the worst that any reader saw in it
HERE = os.path.dirname(os.path.abspath(__file__))


def steps(result, plan, column, end):
    """The worst of all regions for every step, None where nobody looked."""
    count = int(end / STEP) + 1
    worst = [None] * count
    for region in REGIONS:
        for row in result["series"][region]:
            i = min(int(row[0] / STEP), count - 1)
            worst[i] = max(worst[i] or 0.0, row[column])
    last = 0.0
    for i, value in enumerate(worst): # a look that took longer than a step covers it
        last = worst[i] = last if value is None else value
    return worst


def area(values, top, end, height):
    """A path over the whole width of 1000 units, closed at the base line."""
    points = [(min(1000.0, 1000 * (i + 0.5) * STEP / end), height - height * min(1.0, v / top)) for i, v in enumerate(values)]
    if not any(v > 0 for v in values):
        return f"M0 {height}L1000 {height}"
    return f"M0 {height}" + "".join(f"L{x:.1f} {y:.1f}" for x, y in points) + f"L{points[-1][0]:.1f} {height}Z"


def band(plan, end, height):
    x0, x1 = 1000 * plan.outage_at / end, 1000 * plan.heal_at / end
    return f'<path class="band" d="M{x0:.1f} 0H{x1:.1f}V{height}H{x0:.1f}Z"/><path class="base" d="M0 {height}H1000"/>'


def svg(kind, title, inner, height):
    return (f'<svg class="{kind}" viewBox="0 0 1000 {height}" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
            f"<title>{escape(title)}</title>{inner}</svg>")


def tag(values, plan, top, end, text, colour):
    """The highest point up to the heal, written beside it."""
    until_heal = values[:int((plan.heal_at + 0.5) / STEP)]
    peak = max(until_heal)
    i = until_heal.index(peak)
    x, y = 100 * (i + 0.5) * STEP / end, 76 - 76 * min(1.0, peak / top)
    side = " left" if x < 40 else ""
    return f'<span class="tag {colour}{side}" style="left:{min(x, 100):.1f}%;top:{y:.0f}px">{escape(text)}</span>'


def lane(result, plan, top, most, end):
    mesh = result["tells"]
    untold, told, behind = (steps(result, plan, c, end) for c in (3, 4, 1))
    wrong = svg("wrong", f"{result['title']}: wrong for at most {result['longest_untold']:.1f} s without a warning",
                band(plan, end, 76) + (f'<path class="told" d="{area(told, top, end, 76)}"/>' if mesh and max(told) > 0 else "")
                + f'<path class="untold" d="{area(untold, top, end, 76)}"/>', 76)
    queue = svg("queue", f"{result['title']}: at most {max(behind):.0f} jobs out of date in a region",
                band(plan, end, 26) + f'<path class="behind" d="{area(behind, most, end, 26)}"/>', 26)
    tags = tag(untold, plan, top, end, verdict.wrong_text(result, plan), "good" if mesh else "bad")
    if mesh and max(told) > 2 * plan.max_stale:
        tags = tag(told, plan, top, end, f"told it is stale: {max(told):.0f} s", "amber")
    return (f'<div class="lane{" mesh" if mesh else ""}"><div><h3>{escape(result["title"])}</h3>'
            f'<p>{result["lost"]} lost<br>right again: {escape(verdict.heal_text(result))}<br>'
            f'at most {max(behind):.0f} jobs out of date</p></div>'
            f'<div class="plot">{wrong}{tags}{queue}</div></div>')


def axis(plan, end):
    marks = []
    for h in range(0, 13, 3):
        x = 100 * (plan.outage_at + h / 12 * (plan.heal_at - plan.outage_at)) / end
        words = {0: "outage", 12: "heal"}.get(h, f"{h} h")
        marks.append(f'<span class="{"edge" if h in (0, 12) else "thin"}" style="left:{x:.1f}%">{words}</span>')
    return f'<div class="axis" aria-hidden="true">{"".join(marks)}</div>'


def timeline(results, plan):
    shown = [r for r in results if "error" not in r]
    last = max(s[-1][0] for r in shown for s in r["series"].values() if s)
    end = max(last, plan.heal_at + 2)
    top = max(max(row[3:]) for r in shown for s in r["series"].values() for row in s) * 1.08 or 1.0
    most = max(row[1] for r in shown for s in r["series"].values() for row in s) or 1
    hatch = ('<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs><pattern id="hatch" width="6" height="6" '
             'patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="1.6" height="6" fill="var(--told)" '
             'fill-opacity=".55"/></pattern></defs></svg>')
    return f"""<section><h2>What readers saw</h2>
<p class="note">One clock for all. Upper curve: for how long a finished job was still shown as pending or running, the worst
reader in three regions. Lower curve: jobs of which some region showed an old status. All rows share their scales.</p>
<ul class="legend"><li><i class="k-band"></i>outage, {plan.heal_at - plan.outage_at:g} s for 12 h</li>
<li><i class="k-bad"></i>wrong, reader not told</li><li><i class="k-told"></i>wrong, answer says it is stale</li>
<li><i class="k-behind"></i>jobs out of date</li></ul>
{hatch}<div class="times">{axis(plan, end)}{"".join(lane(r, plan, top, most, end) for r in shown)}</div></section>"""


def table_row(r, plan):
    name = escape(r["title"])
    if "error" in r:
        return f'<tr><th>{name}</th><td colspan="6" style="text-align:left">{escape(r["error"])}</td></tr>'
    hours = verdict.wrong_hours(r, plan)
    wrong = verdict.wrong_seconds(r) + (f"<small>{hours} of the 12 h</small>" if hours else "")
    colour = "good" if r["tells"] else "bad"
    return (f'<tr{" class=mesh" if r["tells"] else ""}><th scope="row">{name}</th><td>{r["published"]}</td>'
            f'<td class="{"bad" if r["lost"] else ""}">{r["lost"]}</td><td class="{colour}">{wrong}</td>'
            f'<td>{verdict.told_text(r)}</td><td>{escape(verdict.heal_text(r))}</td>'
            f'<td>{r["moved"]}<small>about {r["moved_jobs"]} jobs</small></td></tr>')


def verdict_table(results, plan):
    heads = ("System", "Updates published", "Lost", "Longest wrong answer, not told", "Longest wrong answer, told stale",
             "From heal to all correct", "Replayed after the heal")
    return f"""<section><h2>Verdict</h2>
<p class="note">Lost: never shown in some region, nor a later update of the same job. Replayed: messages that reached the three
regions after the heal and had been published before it. Seconds are those of this run; spans in hours are the part of the
12 h they stand for.</p><div class="scroll"><table><thead><tr>{"".join(f'<th scope="col">{h}</th>' for h in heads)}</tr></thead>
<tbody>{"".join(table_row(r, plan) for r in results)}</tbody></table></div></section>"""


def span(values, form):
    low, high = form(min(values)), form(max(values))
    return low if low == high else f"{low} to {high}"


def duel_side(title, group, plan, colour):
    worst = max(group, key=lambda r: r["longest_untold"])
    healed = [r["heal_seconds"] for r in group if r["heal_seconds"] is not None]
    heal = f"{max(healed):.1f} s" if len(healed) == len(group) else "never" if len(group) == 1 else f"never, {len(group) - len(healed)} of {len(group)}"
    lost = span([r["lost"] for r in group], str)
    wrong = verdict.wrong_hours(worst, plan) or verdict.wrong_seconds(worst)
    return f"""<div><span class="eyebrow">{escape(title)}</span><dl>
<div><dd class="big {colour}">{escape(wrong)}</dd><dt>longest time a reader was shown a finished job as unfinished, with no warning</dt></div>
<div><dd class="big">{lost}</dd><dt>of {worst["published"]} updates lost</dt></div>
<div><dd class="big">{escape(heal)}</dd><dt>from the heal until every reader is right</dt></div></dl></div>"""


def head(results, plan):
    good = [r for r in results if "error" not in r]
    brokers, mesh = [r for r in good if not r["tells"]], [r for r in good if r["tells"]]
    sides = (duel_side("one broker for all regions", brokers, plan, "bad") if brokers else "") + (
        duel_side("tidings, a node in each region", mesh, plan, "good") if mesh else "")
    return f"""<header><span class="eyebrow">tidings &middot; the incident</span>
<h1>One broker went away for twelve hours</h1>
<p class="lead">The same {plan.workers} workers, the same {len(plan.updates)} status updates and the same outage, replayed against
real programs on one machine. Twelve hours pass in {plan.heal_at - plan.outage_at:g} seconds.</p>
<div class="duel">{sides}</div></header>"""


def settings(results, common):
    cards = [("Every broker", common)] + [(r["title"], r["settings"]) for r in results if r["settings"]]
    return ("<section><h2>What each set-up is</h2><p class=\"note\">Chosen as a normal service would, and kind to the brokers "
            "where there was a choice.</p><div class=\"cards\">"
            + "".join(f'<div class="card"><h3>{escape(t)}</h3><ul>{"".join(f"<li>{escape(s)}</li>" for s in items)}</ul></div>'
                      for t, items in cards) + "</div></section>")


def write(path, results, plan, options):
    from system import Broker
    with open(f"{HERE}/page.css", encoding="utf-8") as f:
        css = f.read()
    common = [s.format(buffer=plan.buffer) for s in Broker.common]
    common.append(f"{len(plan.restarts)} of {plan.workers} workers are replaced once during the outage, here and with tidings"
                  if plan.restarts else "no worker is replaced during the outage")
    good = [r for r in results if "error" not in r]
    body = head(results, plan) + (timeline(results, plan) if good else "") + verdict_table(results, plan) + settings(results, common)
    again = f"scripts/demo incident --seed {plan.seed}" + ("" if plan.restarts else " --no-restarts") + (
        f" --buffer {plan.buffer}" if plan.buffer != 1000 else "") + (f" --against {options.against}" if options.against else "")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>The outage, replayed</title><style>{css}</style></head><body><main>{body}
<section><h2>Repeat it</h2><p class="note">Same seed, same updates. How long things take is the machine's.</p>
<pre><code>{escape(again)}</code></pre></section>
<footer>Readers accept answers up to {plan.max_stale:g} s old and look every {plan.poll:g} s. What is compared and what is not: docs/INCIDENT.md.</footer>
</main></body></html>
""")
