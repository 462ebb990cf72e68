//! Everything can be reached and done without a pointer, and what has the focus is seen.

use harness::browser::{Look, Page};

use super::{the_shop, with_page};

/// What has the focus: its tag, id, class and text, and whether a ring is drawn around it (around
/// its label, for the buttons of a switch).
fn focus(page: &mut Page<'_>) -> (String, bool) {
    let ask = "(() => { const e = document.activeElement; \
        const ring = (each) => each && getComputedStyle(each).outlineStyle !== 'none' \
            && parseFloat(getComputedStyle(each).outlineWidth) >= 2; \
        return [`${e.tagName} ${e.id} ${e.getAttribute('class') ?? ''} ${e.name ?? ''} ${e.dataset.sort ?? ''} ${e.role ?? ''}`, \
            ring(e) || (e.type === 'radio' && ring(e.nextElementSibling))]; })()";
    serde_json::from_value(page.ask(ask).unwrap()).unwrap()
}

/// Presses Tab until something whose description holds `what` has the focus.
fn tab_to(page: &mut Page<'_>, what: &str) {
    for _ in 0..200 {
        page.press("Tab").unwrap();
        if focus(page).0.contains(what) {
            return;
        }
    }
    panic!("Tab never reaches {what}");
}

#[test]
fn tab_reaches_every_part_and_a_ring_shows_where_it_is() {
    with_page(&the_shop(), Look::DESK, |page| {
        let mut reached = Vec::new();
        for _ in 0..300 {
            page.press("Tab").unwrap();
            let (what, ring) = focus(page);
            if what.starts_with("BODY") {
                break;
            }
            assert!(ring, "nothing shows that {what} has the focus");
            reached.push(what);
        }
        for part in [
            "skip",
            "plot",
            "quiet",
            " count ",
            "lines-filter",
            " net ",
            " events ",
            " place ",
            "place",
            " measure ",
            "flame-search",
            "treeitem",
            "SUMMARY",
            "scroll",
        ] {
            assert!(
                reached.iter().any(|what| what.contains(part)),
                "{part} is not in {reached:#?}"
            );
        }
        assert!(reached[0].contains("skip"));
    });
}

#[test]
fn from_the_first_key_to_the_source_of_a_line_without_a_pointer() {
    with_page(&the_shop(), Look::DESK, |page| {
        page.press("Tab").unwrap();
        let shown =
            page.ask("document.querySelector('.skip').getBoundingClientRect().top >= 0").unwrap();
        assert_eq!(shown, true);
        page.press("Enter").unwrap();
        assert_eq!(page.text("document.activeElement.id").unwrap(), "summary");

        tab_to(page, "plot");
        page.press("Home").unwrap();
        let moment = page.text("document.querySelector('.moment').innerText").unwrap();
        assert!(moment.starts_with("86.000 MiB at 0 s"), "{moment}");

        // The switch by arrows, a heading by Enter; the focus stays on the heading.
        tab_to(page, " count ");
        page.press("ArrowRight").unwrap();
        assert_eq!(page.text("document.activeElement.value").unwrap(), "cumulative");
        tab_to(page, "lines-filter");
        page.enter("views").unwrap();
        tab_to(page, " peak ");
        page.press("Enter").unwrap();
        page.press("Enter").unwrap();
        assert_eq!(
            page.text("document.activeElement.closest('th').ariaSort").unwrap(),
            "ascending"
        );
        // The lowest peak that a line of views.py has seen is that of the sessions' caller.
        tab_to(page, "A  place");
        let first = page.text("document.activeElement.innerText").unwrap();
        assert_eq!(first, "views.py:6");

        page.press("Enter").unwrap();
        let code = page.text("document.activeElement.querySelector('.text').innerText").unwrap();
        assert_eq!(code.trim(), "session = sessions.of(request)");

        // Back up to the flame graph: zoom in and out.
        for _ in 0..200 {
            if focus(page).0.contains("treeitem") {
                break;
            }
            page.press("Shift+Tab").unwrap();
        }
        page.press("ArrowDown").unwrap();
        page.press("Enter").unwrap();
        assert_eq!(page.ask("document.querySelector('#flame-reset').hidden").unwrap(), false);
        page.press("Escape").unwrap();
        assert_eq!(page.ask("document.querySelector('#flame-reset').hidden").unwrap(), true);

        // A function opens and closes.
        tab_to(page, "SUMMARY");
        assert_eq!(page.ask("document.activeElement.parentElement.open").unwrap(), true);
        page.press("Enter").unwrap();
        assert_eq!(page.ask("document.activeElement.parentElement.open").unwrap(), false);
    });
}
