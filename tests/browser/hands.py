"""Two ways to use a page: with a mouse, and with the keyboard alone."""

from playwright.sync_api import Locator, Page, expect

FOCUSED = "(() => { const a = document.activeElement; return (a.labels?.[0] ?? a).innerText ?? '' })()"
TABS_MAX = 80


class Mouse:
    """Clicks."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, text: str) -> None:
        """A button or a link of that name."""
        self._named(text).click()

    def _named(self, text: str) -> Locator:
        return self.page.get_by_text(text, exact=True).and_(self.page.locator("button, a, summary"))

    def fill(self, label: str, text: str) -> None:
        """A field."""
        self.page.get_by_label(label).fill(text)

    def choose(self, label: str, option: str) -> None:
        """One of a list."""
        self.page.get_by_label(label).select_option(option)


class Keys(Mouse):
    """Presses keys, and nothing else."""

    def press(self, text: str) -> None:
        self._tab_to(text, self._named(text))
        self.page.keyboard.press("Enter")

    def fill(self, label: str, text: str) -> None:
        self._tab_to(label, self.page.get_by_label(label))
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def choose(self, label: str, option: str) -> None:
        self._tab_to(label, self.page.get_by_label(label))
        self.page.keyboard.type(option)
        expect(self.page.get_by_label(label)).to_have_value(option)

    def _tab_to(self, text: str, what: Locator) -> None:
        expect(what).to_be_visible()  # it may be on a page that is still to come
        for _ in range(TABS_MAX):
            if self.page.evaluate(FOCUSED).strip() == text:
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to {text!r}")


HANDS = {"mouse": Mouse, "keys": Keys}
