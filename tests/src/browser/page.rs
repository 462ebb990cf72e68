//! One page of a [`Browser`]: what it is told to do, and what it has done.
//!
//! Keys and clicks go in where a person's do, so that what can't be reached by hand can't be
//! reached here either.

use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Browser;

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Width of the window in CSS pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Whether the reader prefers dark pages.
    pub dark: bool,
    /// Whether the reader is fine with motion.
    pub motion: bool,
}

impl Look {
    /// A desk, by day.
    pub const DESK: Self = Self { width: 1280, height: 900, dark: false, motion: false };
    /// The same, by night.
    pub const NIGHT: Self = Self { dark: true, ..Self::DESK };
    /// A telephone.
    pub const HAND: Self = Self { width: 400, height: 850, ..Self::DESK };
}

/// A page.
#[derive(Debug)]
pub struct Page<'a> {
    browser: &'a mut Browser,
    target: String,
    session: String,
    look: Look,
    medium: &'static str,
}

impl<'a> Page<'a> {
    pub(super) fn open(browser: &'a mut Browser, file: &Path, look: Look) -> Result<Self> {
        Self::visit(browser, &format!("file://{}", file.display()), look)
    }

    pub(super) fn visit(browser: &'a mut Browser, url: &str, look: Look) -> Result<Self> {
        let text = |value: &Value, key: &str| value[key].as_str().map(ToOwned::to_owned);
        let made = browser.call(None, "Target.createTarget", json!({ "url": "about:blank" }))?;
        let target = text(&made, "targetId").context("a target without id")?;
        let attach = json!({ "targetId": target, "flatten": true });
        let attached = browser.call(None, "Target.attachToTarget", attach)?;
        let session = text(&attached, "sessionId").context("a session without id")?;
        let mut page = Self { browser, target, session, look, medium: "screen" };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}))?;
        }
        page.look(look)?;
        let opened = page.call("Page.navigate", json!({ "url": url }))?;
        if let Some(error) = opened["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        page.browser.event(&page.session, "Page.loadEventFired")?;
        page.call("Page.bringToFront", json!({}))?;
        Ok(page)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.browser.call(Some(&self.session), method, parameters)
    }

    /// Changes the window and the reader's preferences.
    ///
    /// # Errors
    /// When the browser fails.
    pub fn look(&mut self, look: Look) -> Result<()> {
        let size = json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1,
            "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = if look.dark { "dark" } else { "light" };
        let motion = if look.motion { "no-preference" } else { "reduce" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": motion },
        ]);
        let media = json!({ "media": self.medium, "features": features });
        self.call("Emulation.setEmulatedMedia", media)?;
        self.look = look;
        self.settle()
    }

    /// Lays the page out as on paper.
    ///
    /// # Errors
    /// When the browser fails.
    pub fn print(&mut self) -> Result<()> {
        self.medium = "print";
        self.look(self.look)
    }

    /// What an expression of the page's own language comes to.
    ///
    /// # Errors
    /// When it throws; the error holds what.
    pub fn ask(&mut self, expression: &str) -> Result<Value> {
        let ask = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", ask)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("{expression}: {thrown}");
        }
        Ok(answer["result"]["value"].take())
    }

    /// The same, as text.
    ///
    /// # Errors
    /// When it throws, or isn't text.
    pub fn text(&mut self, expression: &str) -> Result<String> {
        let answer = self.ask(expression)?;
        Ok(answer.as_str().with_context(|| format!("{expression} is {answer}"))?.to_owned())
    }

    /// The texts of the elements that a selector finds.
    ///
    /// # Errors
    /// When it can't be asked.
    pub fn texts(&mut self, selector: &str) -> Result<Vec<String>> {
        let selector = json!(selector);
        let ask =
            format!("[...document.querySelectorAll({selector})].map((e) => e.innerText.trim())");
        Ok(serde_json::from_value(self.ask(&ask)?)?)
    }

    /// Clicks in the middle of the first element that a selector finds.
    ///
    /// # Errors
    /// When there is none, or something else lies over it.
    pub fn click(&mut self, selector: &str) -> Result<()> {
        let quoted = json!(selector);
        let ask = format!(
            "(() => {{ const e = document.querySelector({quoted}); e.scrollIntoView({{block: 'center'}}); \
             const b = e.getBoundingClientRect(); const x = b.x + b.width / 2, y = b.y + b.height / 2; \
             const hit = document.elementFromPoint(x, y); \
             return [x, y, e.contains(hit) || hit.contains(e)]; }})()"
        );
        let at = self.ask(&ask)?;
        if at[2] != true {
            bail!("{selector}: something lies over it");
        }
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({ "type": kind, "x": at[0], "y": at[1], "button": button,
                "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event)?;
        }
        self.settle()
    }

    /// Presses a key: `Tab`, `Shift+Tab`, `Enter`, `ArrowDown`, `a`.
    ///
    /// # Errors
    /// When the browser fails.
    pub fn press(&mut self, key: &str) -> Result<()> {
        let (shift, key) = key.strip_prefix("Shift+").map_or((0, key), |key| (8, key));
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            " " => (32, " "),
            "PageUp" => (33, ""),
            "PageDown" => (34, ""),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            other if other.chars().count() == 1 => (0, other),
            other => bail!("no key is called {other}"),
        };
        let down = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        for kind in [down, "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "code": key, "modifiers": shift,
                "windowsVirtualKeyCode": code });
            if kind == "keyDown" {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event)?;
        }
        self.settle()
    }

    /// Types into what has the focus.
    ///
    /// # Errors
    /// When the browser fails.
    pub fn enter(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text }))?;
        self.settle()
    }

    /// Waits until the page has drawn what it was told.
    fn settle(&mut self) -> Result<()> {
        self.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")?;
        Ok(())
    }

    /// What is seen, without scroll bars, as PNG.
    ///
    /// # Errors
    /// When the browser fails.
    pub fn picture(&mut self) -> Result<Vec<u8>> {
        self.call("Emulation.setScrollbarsHidden", json!({ "hidden": true }))?;
        // The window is laid out anew when its size changes.
        let look = self.look;
        self.look(Look { height: look.height + 1, ..look })?;
        self.look(look)?;
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }))?;
        let encoded = shot["data"].as_str().context("a picture without data")?;
        Ok(STANDARD.decode(encoded)?)
    }

    /// What went wrong so far: anything on the console, exceptions, refusals.
    ///
    /// # Errors
    /// When the browser fails.
    pub fn problems(&mut self) -> Result<Vec<String>> {
        self.settle()?;
        const BAD: [&str; 3] =
            ["Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"];
        let bad = |event: &&Value| event["method"].as_str().is_some_and(|it| BAD.contains(&it));
        Ok(self.own_events().filter(bad).map(ToString::to_string).collect())
    }

    /// What it asked for over any network, or from any file, since it was opened; pictures that are
    /// in the page itself are not asked for.
    ///
    /// # Errors
    /// When the browser fails.
    pub fn requests(&mut self) -> Result<Vec<String>> {
        self.settle()?;
        let urls = self
            .own_events()
            .filter(|event| event["method"] == "Network.requestWillBeSent")
            .filter_map(|event| event["params"]["request"]["url"].as_str())
            .filter(|url| !url.starts_with("data:"));
        Ok(urls.map(ToOwned::to_owned).collect())
    }

    fn own_events(&self) -> impl Iterator<Item = &Value> {
        self.browser.events.iter().filter(|event| event["sessionId"] == self.session)
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // A page that can't be closed goes with its browser.
        let _ = self.browser.call(None, "Target.closeTarget", json!({ "targetId": self.target }));
    }
}
