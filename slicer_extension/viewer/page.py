"""What the page consists of: studies and segments, four views, conversation and report. How it looks is page.css's.

Markup and names only: every name stands in `Session`'s state, and every trigger leads to one of its methods.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trame.ui.html import DivLayout
from trame.widgets import client, html
from trame_slicer.app.logic.slice_view_logic import connect_slice_view_slider_to_state
from trame_slicer.views import SliceView

from slicer_extension.viewer.scene import VIEWS
from slicer_extension.viewer.session import Session

_STYLE = Path(__file__).with_name("page.css")
_TITLES = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal", "ThreeD": "3D"}
# The sides of the patient at the left, right, top and bottom of a view, radiological.
_SIDES = {"Red": "RLAP", "Green": "RLSI", "Yellow": "APSI"}

# The scope goes along: the page sends what was typed last only when the server has answered the news before it.
_ASK = "trigger('ask', [prompt, scope, first, last]).then(sent => sent && (prompt = ''))"
# Links in what is shown as HTML lead nowhere: clicks and pointing are told to the session.
_LINK = "($event.target.closest('a')?.getAttribute('href') || '')"
_EYE = (
    '<svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.8">'
    '<path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Z"/><circle cx="12" cy="12" r="3"/>'
)
_EYE_OPEN = _EYE + "</svg>"
_EYE_SHUT = _EYE + '<path d="M4 20 20 4"/></svg>'
_ENLARGE = (
    '<svg viewBox="0 0 24 24" width="16" height="16" fill="none" stroke="currentColor" stroke-width="2">'
    '<path d="M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5"/></svg>'
)


def dress_view(server: Any, view_id: str, view: Any) -> None:
    """What lies over a view: its name, the patient's sides, a slider through the slices, a button to enlarge it."""
    with html.Div(classes=f"over over-{view_id}"):
        with html.Div(classes="view-title"):
            html.Span(_TITLES[view_id])
        html.Button(
            _ENLARGE,
            classes="enlarge",
            title=(f"large === '{view_id}' ? 'Show all views' : 'Enlarge this view'",),
            click=f"large = large === '{view_id}' ? '' : '{view_id}'",
        )
        if not isinstance(view, SliceView):
            html.Div("Outlined structures appear here", classes="hint", v_if="!segments.length")
            return
        for side, place in zip(_SIDES[view_id], ("left", "right", "top", "bottom")):
            html.Span(side, classes=f"side side-{place}", v_if="study")
        names = connect_slice_view_slider_to_state(server, view).name
        with html.Div(classes="slider", v_if="study"):
            html.Input(
                type="range",
                min=(names.min_value,),
                max=(names.max_value,),
                step=(names.step,),
                raw_attrs=[f'v-model.number="{names.value}"', f'aria-label="{_TITLES[view_id]} slice"'],
            )
            html.Span(f"{{{{ {names.value}.toFixed(1) }}}} mm", classes="place")


def build_page(server: Any, session: Session) -> None:
    """Make the page of a server, and let it reach the session."""
    _connect(server, session)
    server.state.setdefault("large", "")
    server.state.setdefault("tab", "conversation")
    server.state.setdefault("hovered", "")
    with DivLayout(server, classes="page"):
        client.Style(_STYLE.read_text(encoding="utf-8"))
        _header()
        with html.Aside(classes="left"):
            _studies()
            _segments()
        with html.Main(classes=("large ? 'views one' : 'views'",)):
            for view in VIEWS:
                with html.Div(
                    classes=(f"'view view-{view}' + (large === '{view}' ? ' large' : '')",),
                    v_show=f"!large || large === '{view}'",
                ):
                    client.ServerTemplate(name=view)
        with html.Aside(classes="right"):
            with html.Div(classes="tabs", role="tablist"):
                for tab, title in (("conversation", "Conversation"), ("report", "Report")):
                    html.Button(
                        title,
                        classes=(f"tab === '{tab}' ? 'tab chosen' : 'tab'",),
                        click=f"tab = '{tab}'",
                        role="tab",
                        raw_attrs=[f":aria-selected=\"tab === '{tab}'\""],
                    )
            _conversation()
            _report()


def _connect(server: Any, session: Session) -> None:
    """Give the session's methods the names under which the page calls them."""
    for name, method in {
        "open": lambda study: session.start(session.open(study)),
        "connect": lambda: session.start(session.connect()),
        "ask": session.ask,
        "cancel": session.cancel,
        "follow": session.follow,
        "recall": session.recall,
        "start_over": session.start_over,
        "step": session.step,
        "go_to": session.go_to,
        "toggle": session.segments.toggle,
        "collect": session.report.collect,
        "add_note": session.report.add_note,
        "remove": session.report.remove,
        "follow_finding": session.report.follow,
        "export": session.report.export,
    }.items():
        server.trigger(name)(method)
    server.state.change("hovered")(lambda hovered, **_: session.point_at(hovered))
    server.state.change("scope")(lambda **_: session.scopes.count())
    for number in ("first", "last"):
        server.state.change(number)(lambda number=number, **_: session.scopes.scroll(number))
    server.state.change("window")(lambda window, **_: session.show_window(window))
    server.state.change("finding")(lambda finding, **_: session.report.write(finding))


def _header() -> None:
    with html.Header():
        html.Div("MedSIGHT", classes="brand")
        html.Div("{{ notice }}", classes="notice")
        html.Button(
            "<span class='light'></span>{{ connection }}",
            classes=("'connection ' + connection_state",),
            click="trigger('connect')",
            title="Ask the server again",
        )


def _studies() -> None:
    with html.Section(classes="studies"):
        html.H2("Studies")
        with html.Button(
            classes=("study === each ? 'study chosen' : 'study'",),
            v_for="each in studies",
            key="each",
            click="trigger('open', [each])",
            disabled=("opening",),
            raw_attrs=[":aria-pressed='study === each'"],
        ):
            html.Span("{{ each }}")
        html.P("The server has no studies.", classes="muted", v_if="connection_state === 'good' && !studies.length")
        with html.Label(classes="window", v_if="windows.length > 1"):
            html.Span("Window", classes="muted")
            with html.Select(v_model=("window",), title="Which values are black and which white"):
                html.Option("{{ each }}", v_for="each in windows", key="each", value=("each",))


def _segments() -> None:
    with html.Section(classes="segments"):
        html.H2("Segments")
        html.P("Nothing is outlined yet.", classes="muted", v_if="!segments.length")
        with (
            html.Ul(v_if="segments.length"),
            html.Li(
                v_for="segment in segments",
                key="segment.id",
                classes=("(segment.chosen ? 'chosen ' : '') + (segment.visible ? '' : 'hidden')",),
            ),
        ):
            html.Button(
                f'<span v-if="segment.visible">{_EYE_OPEN}</span><span v-else>{_EYE_SHUT}</span>',
                classes="eye",
                click="trigger('toggle', [segment.id])",
                title=("segment.visible ? 'Hide' : 'Show'",),
                raw_attrs=[":aria-label=\"(segment.visible ? 'Hide ' : 'Show ') + segment.name\""],
            )
            with html.Button(classes="name", click="trigger('go_to', [segment.id])", title="Go to it in all views"):
                html.Span(classes="dot", raw_attrs=[':style="{background: segment.color}"'])
                with html.Span():
                    html.Span("{{ segment.name }}")
                    html.Small("{{ segment.about }}", title="Its volume, and the model's confidence")


def _conversation() -> None:
    with html.Section(classes="conversation", v_show="tab === 'conversation'"):
        with html.Div(classes="scroll"), html.Div():  # which keeps to its lower end
            with html.Div(classes="welcome", v_if="!thread"):
                html.P("Choose a study on the left to begin.", v_if="!study")
                html.P(
                    "Ask about {{ study }} in plain words. What is found is outlined in the views; "
                    "what is not seen is said.",
                    v_if="study",
                )
            html.Div(
                classes="thread",
                v_if="thread",
                v_html=("thread",),
                click=f"$event.preventDefault(); {_LINK} && trigger('follow', [{_LINK}])",
                mouseover=f"hovered = {_LINK}",
                mouseleave="hovered = ''",
                role="log",
                raw_attrs=['aria-live="polite"', 'aria-label="Conversation"'],
            )
        _ask()


def _ask() -> None:
    with html.Div(classes="ask"):
        with html.Div(classes="suggestions", v_if="study && suggestions.length && !waiting"):
            html.Button("{{ each }}", v_for="each in suggestions", key="each", click="prompt = each")
        with html.Div(classes="bar", v_if="waiting"):
            html.I(
                classes=("done === null ? 'unknown' : ''",),
                raw_attrs=[""":style="done === null ? {} : {width: 100 * done + '%'}\""""],
            )
        html.P("{{ status }}", classes=("'status ' + status_state",), v_if="status", role="status")
        html.Textarea(
            v_model=("prompt",),
            rows=3,
            classes="prompt",
            placeholder="Outline the right lung.",
            disabled=("!study",),
            keydown=(
                "if ($event.key === 'Enter' && !$event.shiftKey && !$event.isComposing) "
                f"{{ $event.preventDefault(); {_ASK}; }} "
                "else if ($event.key === 'Escape') trigger('cancel'); "
                "else if ($event.key === 'ArrowUp') trigger('recall', [$event.target.value, true]); "
                "else if ($event.key === 'ArrowDown') trigger('recall', [$event.target.value, false]);"
            ),
            raw_attrs=['aria-label="Question"'],
        )
        with html.Div(classes="slices muted", v_if="ranged"):
            for words, number in (("Slices", "first"), ("to", "last")):
                html.Span(words)
                html.Input(
                    type="number",
                    min=0,
                    max=("greatest",),
                    raw_attrs=[f'v-model.number="{number}"', f'aria-label="The {number} slice"'],
                )
            html.Span("of {{ greatest }}")
        with html.Div(classes="buttons"):
            with html.Select(
                v_model=("scope",), title="What is asked about", raw_attrs=['aria-label="What is asked about"']
            ):
                html.Option("{{ each.title }}", v_for="each in scopes", key="each.value", value=("each.value",))
            html.Button(
                "Undo",
                click="trigger('step', [true])",
                disabled=("!can_undo",),
                title="Take back the last answer's segments",
            )
            html.Button("Redo", click="trigger('step', [false])", disabled=("!can_redo",), v_if="can_redo")
            html.Button(
                "New",
                click="trigger('start_over')",
                disabled=("!can_start_over",),
                title="New conversation; segments stay",
            )
            html.Span(classes="space")
            html.Button(
                "{{ cancelling ? 'Cancelling' : 'Cancel' }}",
                v_if="waiting",
                classes="cancel",
                click="trigger('cancel')",
                disabled=("cancelling",),
            )
            html.Button(
                "Ask",
                v_if="!waiting",
                classes="primary",
                click=_ASK,
                disabled=("!study || !prompt.trim()",),
                title="Enter",
            )
        html.P("{{ model }}", classes="model muted")


def _report() -> None:
    with html.Section(classes="report", v_show="tab === 'report'"):
        with html.Div(classes="buttons"):
            html.Button("Collect findings", classes="primary", click="trigger('collect')", disabled=("!can_collect",))
            html.Button("Add note", click="trigger('add_note')", disabled=("!can_note",))
        with html.Div(classes="findings"):
            html.P("Collect the conversation's answers, or write a note.", classes="muted", v_if="!report")
            html.Div(
                v_if="report",
                v_html=("report",),
                click=f"$event.preventDefault(); {_LINK} && trigger('follow_finding', [{_LINK}])",
            )
        html.Textarea(
            v_model=("finding",),
            v_if="finding_chosen",
            rows=4,
            raw_attrs=['aria-label="Finding"'],
        )
        with html.Div(classes="buttons", v_if="finding_chosen"):
            html.Button("{{ remove_title }}", click="trigger('remove')")
        with html.Div(classes="buttons export"):
            html.Span("Export as", classes="muted")
            for kind, title, mime in (
                ("html", "HTML", "text/html"),
                ("txt", "Text", "text/plain"),
                ("json", "JSON", "application/json"),
            ):
                html.Button(
                    title,
                    disabled=("!can_export",),
                    click=(
                        f"trigger('export', ['{kind}']).then(content => "
                        f"content && utils.download('MedSIGHT report.{kind}', content, '{mime}'))"
                    ),
                )
