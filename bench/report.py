"""Tables and plots of what was measured."""

import pygal


def write(folder, name, titles, measured, is_growth):
    """Writes NAME.md, and NAME.svg: requests a second, or how many more there are with few rows than with many."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(table(titles, measured))
    plot = growth_plot(measured) if is_growth else rates_plot(titles, measured)
    plot.render_to_file(str(folder / f"{name}.svg"))


def table(titles, measured):
    """Markdown: requests a second, p50, p99 and processor time of each, and the ratios of the first to the others."""
    columns = ["", *(f"{title}, a second | p50, ms | p99, ms | µs own | µs database" for title in titles), *("ratio" for _ in titles[1:])]
    head = "| " + " | ".join(columns) + " |"
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for kind, subjects in measured.items():
        cells = [kind]
        for one in subjects:
            cells += [f"{one.rate:,.{0 if one.rate > 10 else 1}f}", f"{one.p50:.2f}", f"{one.p99:.1f}", f"{one.server:,.0f}",
                      f"{one.database:,.0f}"] if one else [""] * 5
        cells += [f"{subjects[0].rate / other.rate:,.2f}" if other else "" for other in subjects[1:]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def chart(title, measured, **options):
    """Without scripts, which a viewer of documents does not run."""
    plot = pygal.HorizontalBar(js=[], title=title, width=900, height=120 + 55 * len(measured), print_values=True, legend_at_bottom=True,
                               truncate_legend=-1, value_formatter=lambda value: f"{value:,.4g}", **options)
    # Charts of this kind begin at the bottom.
    plot.x_labels = list(reversed(measured))
    return plot


def rates_plot(titles, measured):
    plot = chart("requests a second", measured, logarithmic=True)
    for index, title in enumerate(titles):
        plot.add(title, [subjects[index].rate if subjects[index] else None for subjects in reversed(measured.values())])
    return plot


def growth_plot(measured):
    plot = chart("requests a second with few rows to those with many", measured)
    plot.add("few to many", [few.rate / many.rate for few, many in reversed(measured.values())])
    return plot
