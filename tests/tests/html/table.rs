//! The table of lines sorts, filters, and counts own or cumulative.

use harness::browser::{Look, Page};

use super::{cells, server, the_shop, with_page};

/// One column of the table.
fn column(page: &mut Page<'_>, number: usize) -> Vec<String> {
    cells(page, "#lines-table tbody tr").iter().map(|row| row[number].clone()).collect()
}

/// Which columns say that they are sorted, and how.
fn sorted(page: &mut Page<'_>) -> Vec<String> {
    let ask = "[...document.querySelectorAll('#lines-table th[aria-sort]')].map((head) => \
               head.querySelector('button').dataset.sort + ' ' + head.ariaSort)";
    serde_json::from_value(page.ask(ask).unwrap()).unwrap()
}

#[test]
fn a_click_on_a_heading_sorts_by_it_and_another_turns_it_round() {
    with_page(&server(), Look::DESK, |page| {
        assert_eq!(sorted(page), ["net descending"]);
        assert_eq!(column(page, 0), ["32.000", "4.000", "2.500", "0.000", "0.000"]);

        page.click("[data-sort=events]").unwrap();
        assert_eq!(sorted(page), ["events descending"]);
        assert_eq!(column(page, 5), ["900", "64", "40", "0", "0"]);
        page.click("[data-sort=events]").unwrap();
        assert_eq!(sorted(page), ["events ascending"]);
        assert_eq!(column(page, 5), ["0", "0", "40", "64", "900"]);

        // Text begins with A; lines of a file are in the order of their numbers, not of digits.
        page.click("[data-sort=place]").unwrap();
        assert_eq!(sorted(page), ["place ascending"]);
        let places = column(page, 6);
        let ends = ["app.py:8", "app.py:10", "app.py:16", "app.py:17", "decoder.py:353"];
        assert!(places.iter().zip(ends).all(|(place, end)| place.ends_with(end)), "{places:?}");
        page.click("[data-sort=name]").unwrap();
        let names = ["JSONDecoder.raw_decode", "handle", "handle", "main", "main"];
        assert_eq!(column(page, 7), names);
    });
}

#[test]
fn lines_that_gave_all_back_come_before_those_that_never_grew() {
    // The canvas: 200 times 8,448 pages grown, and nothing net.
    with_page(&the_shop(), Look::DESK, |page| {
        let rows = cells(page, "#lines-table tbody tr");
        let first = rows.iter().position(|row| row[0] == "0.000").unwrap();
        assert_eq!(rows[first][..3], ["0.000", "6600.000", "6600.000"]);
        assert!(rows[first][6].ends_with("images.py:6"));
        assert!(rows[first + 1..].iter().all(|row| row[1] == "0.000"));
    });
}

#[test]
fn the_filter_keeps_what_matches_and_says_what_that_comes_to() {
    with_page(&server(), Look::DESK, |page| {
        assert_eq!(page.texts("#lines-status").unwrap(), ["5 lines, 38.500 MiB net"]);
        page.click("#lines-filter").unwrap();
        page.enter("HANDLE").unwrap(); // capitals are no matter
        assert_eq!(page.texts("#lines-status").unwrap(), ["2 of 5 lines, 36.000 MiB net"]);
        assert_eq!(column(page, 0), ["32.000", "4.000"]);
        page.ask("document.querySelector('#lines-filter').select()").unwrap();
        page.enter("/json/").unwrap(); // a folder that the cells don't show
        assert_eq!(column(page, 7), ["JSONDecoder.raw_decode"]);
        page.ask("document.querySelector('#lines-filter').select()").unwrap();
        page.enter("no such line").unwrap();
        assert_eq!(page.texts("#lines-status").unwrap(), ["0 of 5 lines, 0.000 MiB net"]);
        assert_eq!(page.texts("#lines-table .about").unwrap(), ["No line matches."]);
    });
}

#[test]
fn cumulative_counts_what_a_line_called() {
    with_page(&server(), Look::DESK, |page| {
        page.click("[data-sort=grown]").unwrap();
        page.click("input[value=cumulative]").unwrap();
        // There is no cumulative `Grown` to sort by: back to net. main:16 called both of handle's.
        assert_eq!(sorted(page), ["net descending"]);
        let heads = page.texts("#lines-table th button").unwrap();
        assert_eq!(heads.len(), 6, "{heads:?}");
        assert_eq!(column(page, 0), ["36.000", "32.000", "4.000", "2.500", "2.500"]);
        assert_eq!(column(page, 3), ["964", "900", "64", "40", "40"]);
        page.click("input[value=own]").unwrap();
        assert_eq!(column(page, 0), ["32.000", "4.000", "2.500", "0.000", "0.000"]);
    });
}

#[test]
fn a_click_on_a_line_goes_to_its_source() {
    let place = "#lines-table tbody tr:nth-child(3) a";
    with_page(&the_shop(), Look::DESK, |page| {
        // From the table, the verdict, the chart's list and under the flame graph.
        page.click("[role=treeitem][aria-label^='JSONDecoder.raw_decode, decoder.py:353']")
            .unwrap();
        for (link, text) in [
            (place, "session = SESSIONS[token] = Session"),
            (".headline a", "QUOTES[key] = render("),
            (".layers tr:nth-child(6) a", "rows = [row for product"),
            ("#flame-graph .told a", ""),
            (".next li:nth-child(3) a", "self.words.setdefault(word"),
        ] {
            page.click(link).unwrap();
            let target =
                page.text("document.activeElement.querySelector('.text').innerText").unwrap();
            assert!(target.contains(text), "{link} leads to {target}");
            let seen = "(() => { const b = document.activeElement.getBoundingClientRect(); \
                        return document.activeElement.matches('.target') && b.top > 0 && \
                        b.bottom < innerHeight; })()";
            assert_eq!(page.ask(seen).unwrap(), true, "{link}");
        }
        assert_eq!(page.ask("document.querySelectorAll('.listing tr.target').length").unwrap(), 1);
        // Where it went can be kept as an address, and the way back leads back.
        assert_eq!(page.text("location.hash").unwrap(), "#line-0-3");
        page.ask("new Promise((done) => { addEventListener('popstate', done); history.back(); })")
            .unwrap();
        assert_eq!(page.text("document.activeElement.id").unwrap(), "line-0-1"); // the decoder's
    });
}
