"""What stands in the panel's labels beside the conversation. Knows HTML as far as Qt's labels do; knows no Qt.

Every text of the server is escaped.
"""

from __future__ import annotations

import html
from typing import Sequence

from medsight_core.answer import ModelInfo
from MedSIGHTLib.style import Colors
from MedSIGHTLib.translating import _


def suggestions_html(prompts: Sequence[str], colors: Colors) -> str:
    """Questions to begin with, as links that are the questions themselves; "" when there are none."""
    style = f"color:{colors.link}; text-decoration:none"
    links = " &nbsp;·&nbsp; ".join(
        f"<a href='{html.escape(prompt)}' style='{style}'>{html.escape(prompt)}</a>" for prompt in prompts
    )
    return f"<span style='color:{colors.muted}'>{_('Try')}</span> &nbsp;{links}" if links else ""


def notice_html(notice: str, model: ModelInfo | None, colors: Colors) -> str:
    """The notice, and which model is asked under which licence; None while no server has said."""
    if model is None:
        about = _("The model's licence is shown once a server is connected.")
    else:
        about = _("Model {name} · licence: {licence}").format(
            name=f"{model.id} {model.version}", licence=model.licence or _("not stated by the server")
        )
    return f"<b>{html.escape(notice)}</b><br><span style='color:{colors.muted}'>{html.escape(about)}</span>"
