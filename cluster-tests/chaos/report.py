"""report.py -- one page for one run, without anything from outside: faults as bands over updates per second
and over how old each region's part was, what each region said of itself, and the verdict."""
import html
import math

from sample import NOT_ASKED, PERIOD

WIDTH, LEFT, RIGHT = 1080, 96, 16
STEP = 0.5  # seconds of one column, in a run of some minutes
MANY_BANDS = 40
AGE_LEAST, AGE_TOP = 0.05, 1000.0

STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --card: #ffffff; --ink: #1d1f23; --soft: #686c74; --rule: #e3e3de;
 --band: #d9480f; --good: #17803d; --bad: #c81e3a; --warn: #b7791f;
 --s0: #2563c9; --s1: #c2571a; --s2: #0f8a6d; --s3: #9333b8; --s4: #8a7600; --s5: #b3246b; --s6: #3f6f8f; --s7: #6b6b6b; }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --card: #1d2024; --ink: #e8e9eb; --soft: #9aa0a8;
 --rule: #33373d; --band: #ff8a50; --good: #4ec97d; --bad: #ff6b81; --warn: #e5b454;
 --s0: #6ea3ff; --s1: #f2975a; --s2: #3fcfa8; --s3: #cf8cf0; --s4: #d8c14a; --s5: #f07ab4; --s6: #86bcdc; --s7: #a9a9a9; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 4px; display: flex; gap: 12px; align-items: center; flex-wrap: wrap; }
h2 { font-size: 15px; margin: 26px 0 6px; }
p { margin: 0 0 10px; color: var(--soft); max-width: 84ch; }
.verdict { font-size: 13px; font-weight: 700; letter-spacing: .06em; padding: 3px 10px; border-radius: 999px; color: var(--card); }
.good { background: var(--good); } .bad { background: var(--bad); }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 10px 8px; overflow-x: auto; }
svg { display: block; width: 100%; min-width: 720px; height: auto; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; } svg .name { fill: var(--ink); }
.grid { stroke: var(--rule); stroke-width: 1; } .band { fill: var(--band); opacity: .10; }
.lane { fill: var(--band); opacity: .8; } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.area { stroke: none; opacity: .85; } .absent { fill: var(--soft); opacity: .28; }
.certain { fill: var(--good); opacity: .75; } .unsure { fill: var(--warn); opacity: .85; }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 2px 8px 8px; color: var(--soft); font-size: 13px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
td, th { text-align: left; padding: 7px 12px; border-top: 1px solid var(--rule); vertical-align: top; }
tr:first-child > * { border-top: 0; } th { font-size: 12px; color: var(--soft); font-weight: 600; }
td:first-child { font-weight: 700; white-space: nowrap; } .ok { color: var(--good); } .no { color: var(--bad); }
td:last-child { color: var(--soft); overflow-wrap: anywhere; }
"""


def text(value):
    return html.escape(str(value), quote=True)


class Page:
    def __init__(self, run):
        self.run = run
        self.seconds = max(run.seconds, 1.0)
        self.step = max(STEP, self.seconds / 600)
        self.names = run.cluster.names()
        self.colour = {name: f"var(--s{i % 8})" for i, name in enumerate(self.names)}

    def x(self, second):
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(max(second, 0), self.seconds) / self.seconds, 1)

    def columns(self):
        count = int(self.seconds / self.step) + 1
        return [(i * self.step, (i + 1) * self.step) for i in range(count)]

    def svg(self, height, title, body):
        return (f'<figure><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(title)}">'
                + "".join(body) + "</svg></figure>")

    def bands(self, top, bottom):
        if len(self.run.bands) > MANY_BANDS:
            return []  # one over the other they would say nothing
        return [f'<rect class="band" x="{self.x(b.begin)}" y="{top}" width="{max(1.5, self.x(b.end) - self.x(b.begin)):.1f}" '
                f'height="{bottom - top}"><title>{text(b.text)}</title></rect>' for b in self.run.bands]

    def time_axis(self, y, labels=True):
        step = next(s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200) if self.seconds / s <= 14 or s == 7200)
        out = []
        for i in range(int(self.seconds / step) + 1):
            x = self.x(i * step)
            label = f"{i * step} s" if step < 60 else f"{i * step // 60} min"
            out.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{y}"/>')
            if labels:
                out.append(f'<text x="{x}" y="{y + 15}" text-anchor="middle">{label}</text>')
        return out

    # ---- faults ----
    def many_faults(self):
        """A lane for each kind, the count beside its name."""
        kinds = sorted({band.text.split()[0] for band in self.run.bands})
        height = 24 * len(kinds) + 24
        out = self.time_axis(height - 20)
        for lane, kind in enumerate(kinds):
            bands = [band for band in self.run.bands if band.text.split()[0] == kind]
            out.append(f'<text class="name" x="{LEFT - 8}" y="{24 * lane + 18}" text-anchor="end">{text(kind)} '
                       f'{len(bands)}</text>')
            out += [f'<rect class="lane" x="{self.x(band.begin)}" y="{24 * lane + 8}" height="12" '
                    f'width="{max(0.8, self.x(band.end) - self.x(band.begin)):.1f}"/>' for band in bands]
        return self.svg(height, "faults", out)

    def faults(self):
        if len(self.run.bands) > MANY_BANDS:
            return self.many_faults()
        rows, lanes = [], []
        for band in sorted(self.run.bands, key=lambda b: b.begin):
            need = self.x(band.begin) + max(self.x(band.end) - self.x(band.begin), 6 + 6.2 * len(band.text))
            lane = next((i for i, end in enumerate(lanes) if end < self.x(band.begin)), len(lanes))
            if lane >= 14:
                lane = 13
            lanes[lane:lane + 1] = [need + 8]
            rows.append((lane, band))
        height = 24 * max(len(lanes), 1) + 24
        out = self.time_axis(height - 20)
        for lane, band in rows:
            x, y = self.x(band.begin), 24 * lane + 4
            late = x > WIDTH * 0.86
            out.append(f'<rect class="lane" x="{x}" y="{y + 13}" width="{max(3, self.x(band.end) - x):.1f}" height="5" rx="2.5">'
                       f'<title>{text(band.text)}: {band.begin:.1f} .. {band.end:.1f} s</title></rect>'
                       f'<text class="name" x="{WIDTH - RIGHT if late else x}" y="{y + 10}" '
                       f'text-anchor="{"end" if late else "start"}">{text(band.text)}</text>')
        return self.svg(height, "faults", out)

    # ---- updates ----
    def updates(self):
        height, bottom = 190, 166
        counts = {name: [0] * len(self.columns()) for name in self.names}
        for second, name, count in self.run.history.acknowledged:
            row = counts.get(name.removesuffix("-clone"), None)
            if row is not None:
                row[min(int(second / self.step), len(row) - 1)] += count / self.step
        total = [sum(column) for column in zip(*counts.values())]
        load = [value for (begin, _), value in zip(self.columns(), total) if begin > 2] or total
        top_value = nice(max(max(load, default=1), 1) * 1.1)
        out = self.bands(8, bottom) + self.time_axis(bottom)
        out += self.value_axis([0, top_value / 2, top_value], lambda v: bottom - (bottom - 8) * v / top_value,
                               lambda v: f"{v:g}/s")
        below = [0.0] * len(total)
        for name in self.names:
            above = [a + b for a, b in zip(below, counts[name])]
            points = [(self.x(b), above[i]) for i, (b, _) in enumerate(self.columns())]
            back = [(self.x(b), below[i]) for i, (b, _) in enumerate(self.columns())][::-1]
            path = " ".join(f"{x},{bottom - (bottom - 8) * min(v, top_value) / top_value:.1f}" for x, v in points + back)
            out.append(f'<polygon class="area" fill="{self.colour[name]}" points="{path}"><title>{text(name)}</title></polygon>')
            below = above
        return self.svg(height, "updates acknowledged per second", out)

    # ---- staleness ----
    def staleness(self):
        height, top, bottom = 250, 30, 226
        scale = math.log10(AGE_TOP / AGE_LEAST)

        def y(age):
            return bottom - (bottom - top) * math.log10(min(max(age, AGE_LEAST), AGE_TOP) / AGE_LEAST) / scale
        out = self.bands(4, bottom) + self.time_axis(bottom)
        out += self.value_axis([0.05, 1, 10, 100, 1000], y, lambda v: f"{v:g} s")
        out.append(f'<text x="{LEFT - 8}" y="18" text-anchor="end">unknown</text>')
        for number, name in enumerate(self.names):
            path, pen = [], False
            for begin, end in self.columns():
                age = self.run.sampler.oldest_seen(name, begin, end)
                if age is None:
                    out.append(f'<rect x="{self.x(begin)}" y="{4 + number * 18 / len(self.names):.1f}" fill="{self.colour[name]}" '
                               f'width="{self.x(end) - self.x(begin):.1f}" height="{16 / len(self.names):.1f}">'
                               f'<title>{text(name)} unknown</title></rect>')
                    pen = False
                elif age == NOT_ASKED:
                    pen = False
                else:
                    path.append(f"{'L' if pen else 'M'}{self.x((begin + end) / 2)} {y(age):.1f}")
                    pen = True
            out.append(f'<path class="line" stroke="{self.colour[name]}" d="{" ".join(path)}"/>')
        return self.svg(height, "age of each region's part at the other region that has the oldest", out)

    def value_axis(self, values, y, label):
        out = []
        for value in values:
            at = round(y(value), 1)
            out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>'
                       f'<text x="{LEFT - 8}" y="{at + 4}" text-anchor="end">{label(value)}</text>')
        return out

    # ---- what each said ----
    def words(self):
        height = 22 * len(self.names) + 26
        out = self.time_axis(height - 20)
        for number, name in enumerate(self.names):
            y = 22 * number + 4
            out.append(f'<text class="name" x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{text(name)}</text>'
                       f'<rect class="absent" x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="14"/>')
            for begin, end, certain, notes in runs_of(self.run.sampler.samples[name]):
                out.append(f'<rect class="{"certain" if certain else "unsure"}" x="{self.x(begin)}" y="{y}" '
                           f'width="{max(1, self.x(end) - self.x(begin)):.1f}" height="14"><title>{text(name)}: '
                           f'{"certain" if certain else "not certain"} {text(", ".join(sorted(notes)))} '
                           f'{begin:.1f} .. {end:.1f} s</title></rect>')
        return self.svg(height, "what each region said of its answers", out)

    def key(self):
        return '<div class="key">' + "".join(
            f'<span><i style="background:{self.colour[name]}"></i>{text(name)}</span>' for name in self.names) + "</div>"

    def table(self):
        rows = "".join(f'<tr><td class="{"ok" if good else "no"}">{"pass" if good else "FAIL"}</td><td>{text(name)}</td>'
                       f'<td>{text(seen)}</td></tr>' for name, good, seen in self.run.rows)
        return f"<table><tr><th>verdict</th><th>what has to hold</th><th>what was seen</th></tr>{rows}</table>"


def runs_of(samples):
    """Neighbouring samples that say the same, as (begin, end, certain, notes)."""
    out = []
    for sample in samples:
        end = sample.seconds + PERIOD * 1.2
        if out and out[-1][2:] == (sample.certain, sample.notes) and sample.seconds - out[-1][1] < 3 * PERIOD:
            out[-1] = (out[-1][0], end, sample.certain, sample.notes)
        else:
            out.append((sample.seconds, end, sample.certain, sample.notes))
    return out


def nice(value):
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power)


def write_page(run, good, path):
    page, scenario = Page(run), run.scenario
    body = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(scenario.name)}: {"PASS" if good else "FAIL"}</title><style>{STYLE}</style></head><body><main>
<h1>{text(scenario.name)} <span class="verdict {"good" if good else "bad"}">{"PASS" if good else "FAIL"}</span></h1>
<p>{text(scenario.proves)}</p>
<p>{len(page.names)} regions, {sum(row[2] for row in run.history.acknowledged)} updates acknowledged in {run.seconds:.0f} s,
seed {scenario.seed}.</p>
<h2>Faults</h2>{page.faults()}
<h2>Updates acknowledged per second, by the region that took them</h2>{page.key()}{page.updates()}
<h2>How old each region's part was, at the other region that had the oldest</h2>{page.key()}{page.staleness()}
<h2>What each region said of its answers</h2>
<div class="key"><span><i class="sw" style="background:var(--good)"></i>certain: complete</span>
<span><i style="background:var(--warn)"></i>not certain: something may be missing</span>
<span><i style="background:var(--soft);opacity:.4"></i>no answer</span></div>{page.words()}
<h2>Verdict</h2>{page.table()}
</main></body></html>
"""
    with open(path, "w", encoding="utf-8") as file:
        file.write(body)
