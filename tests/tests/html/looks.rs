//! What the page looks like: nothing sticks out, all text can be read, colours can be told apart.

use harness::browser::{Browser, Look};

use super::{server, the_shop, with_page};

mod colours;
mod pictures;

/// What sticks out of the window sideways, if anything does.
pub(crate) const SIDEWAYS: &str = "(() => { const room = document.documentElement.clientWidth; \
    const wide = document.documentElement.scrollWidth > room; \
    return wide ? [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > room + 1) \
        .map((e) => e.tagName + '.' + (e.getAttribute('class') ?? '')).slice(0, 9).concat('scrolls') : []; })()";

/// Texts whose colour is too near to what is behind them: contrast below 4.5 (3 for large text).
const PALE: &str = "(() => { \
    const c = document.createElement('canvas').getContext('2d', { willReadFrequently: true }); const known = new Map(); \
    const parse = (text) => { if (known.has(text)) return known.get(text); c.clearRect(0, 0, 1, 1); \
        c.fillStyle = text; c.fillRect(0, 0, 1, 1); const d = c.getImageData(0, 0, 1, 1).data; \
        known.set(text, [d[0], d[1], d[2], d[3] / 255]); return known.get(text); }; \
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1); \
    const behind = (e) => { const layers = []; \
        for (let each = e; each; each = each.parentElement) { \
            const style = getComputedStyle(each); \
            const stripe = /(rgb[^)]*\\)|color\\([^)]*\\))(?!.*(rgb|color\\())/.exec(style.backgroundImage); \
            layers.push(parse(stripe ? stripe[1] : style.backgroundColor)); \
            if (layers[layers.length - 1][3] === 1) break; } \
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]); }; \
    const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { const s = v / 255; \
        return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; }; \
    const pale = []; let texts = 0; \
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); \
    for (let node = walker.nextNode(); node; node = walker.nextNode()) { \
        const e = node.parentElement; \
        if (node.data.trim() === '' || e.closest('script, style, noscript, svg') || e.offsetHeight === 0) continue; \
        const style = getComputedStyle(e); texts += 1; \
        const back = behind(e); const ink = over(parse(style.color), back); \
        const [a, b] = [light(ink), light(back)].sort((x, y) => y - x); \
        const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.7 && style.fontWeight >= 700); \
        const contrast = (a + 0.05) / (b + 0.05); \
        if (contrast < (large ? 3 : 4.5)) pale.push(`${node.data.trim()}: ${contrast.toFixed(2)}`); } \
    return [texts, pale]; })()";

/// Opens all functions.
const OPEN: &str = "document.querySelectorAll('details').forEach((each) => { each.open = true; })";

#[test]
fn nothing_scrolls_sideways_on_a_telephone_or_a_desk() {
    with_page(&the_shop(), Look::HAND, |page| {
        page.ask(OPEN).unwrap();
        for width in [320, 400, 640, 700, 900, 901, 1000, 1280, 2560] {
            page.look(Look { width, ..Look::HAND }).unwrap();
            for count in ["own", "cumulative"] {
                page.click(&format!("input[value={count}]")).unwrap();
                assert_eq!(page.ask(SIDEWAYS).unwrap(), serde_json::json!([]), "{width}, {count}");
            }
            // Text stays of a size that can be read.
            let small = "[...document.querySelectorAll('main *')].filter((e) => e.offsetHeight > 0 && \
                         e.childElementCount === 0 && e.textContent.trim() !== '' && \
                         parseFloat(getComputedStyle(e).fontSize) < 10).map((e) => e.outerHTML.slice(0, 80))";
            assert_eq!(page.ask(small).unwrap(), serde_json::json!([]), "{width}");
        }
    });
}

#[test]
fn all_text_has_contrast_by_day_and_by_night() {
    for report in [server(), the_shop()] {
        with_page(&report, Look::DESK, |page| {
            page.ask(OPEN).unwrap();
            for look in [Look::DESK, Look::NIGHT, Look::HAND, Look { dark: true, ..Look::HAND }] {
                page.look(look).unwrap();
                let search = |text: &str| {
                    format!(
                        "(() => {{ const s = document.querySelector('#flame-search'); s.value = '{text}'; \
                         s.dispatchEvent(new Event('input')); }})()"
                    )
                };
                // As it is, with a line gone to, with something found.
                for step in
                    ["0", "document.querySelector('.headline a').click()", &search("handle")]
                {
                    page.ask(step).unwrap();
                    let found = page.ask(PALE).unwrap();
                    assert!(found[0].as_u64().unwrap() > 150, "{found}");
                    assert_eq!(found[1], serde_json::json!([]), "{look:?}, {step}");
                }
                page.ask(&search("")).unwrap();
            }
        });
    }
}

#[test]
fn light_and_dark_are_what_the_reader_prefers() {
    let mut browser = Browser::start().unwrap();
    let report = server();
    let mut page = browser.open(&report.file(), Look::DESK).unwrap();
    let back = "getComputedStyle(document.body).backgroundColor";
    let light = page.text(back).unwrap();
    page.look(Look::NIGHT).unwrap();
    let dark = page.text(back).unwrap();
    assert_eq!((light.as_str(), dark.as_str()), ("rgb(243, 245, 248)", "rgb(14, 17, 22)"));
}

#[test]
fn whoever_wants_less_motion_gets_none() {
    with_page(&server(), Look::DESK, |page| {
        let moving = "[...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e); \
                      return parseFloat(s.transitionDuration) > 0 || parseFloat(s.animationDuration) > 0 || \
                      s.scrollBehavior === 'smooth'; }).length > 0";
        assert_eq!(page.ask(moving).unwrap(), false);
        page.look(Look { motion: true, ..Look::DESK }).unwrap();
        assert_eq!(page.ask(moving).unwrap(), true);
    });
}

#[test]
fn on_paper_there_are_no_controls_and_nothing_is_cut_off() {
    // A4 at 96 dots an inch.
    let paper = Look { width: 794, height: 1123, ..Look::DESK };
    with_page(&the_shop(), paper, |page| {
        let seen = "['nav', '.switch', '.field', '.plot svg', '#law', '#lines-table table', '.listing', '.tree'] \
                    .filter((each) => document.querySelector(each).getClientRects().length > 0)";
        assert_eq!(page.ask(seen).unwrap().as_array().unwrap().len(), 8);
        page.print().unwrap();
        let left =
            serde_json::json!([".plot svg", "#law", "#lines-table table", ".listing", ".tree"]);
        assert_eq!(page.ask(seen).unwrap(), left);
        assert_eq!(page.ask(SIDEWAYS).unwrap(), serde_json::json!([]));
        let cut = "[...document.querySelectorAll('#lines-table .figure, .listing .text')] \
                   .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.innerText)";
        assert_eq!(page.ask(cut).unwrap(), serde_json::json!([]));
    });
}
