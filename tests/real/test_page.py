"""The page in a real browser."""

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By

import rows
from browser import browser, errors, requested, save
from driftd import feature
from processes import wait_until


def test_the_shifted_feature_is_on_top(iris_app_sync, start_driftd, tmp_path):
    driftd = start_driftd(iris_app_sync.url)
    _, exchanges = rows.send_iris(driftd.post, rows.iris() * 2)
    driftd.settled_model(exchanges=exchanges)
    with browser(tmp_path / "profile") as chromium:
        chromium.get(driftd.page + "/")
        assert "driftd" in chromium.title.lower()
        section = chromium.find_element(By.CSS_SELECTOR, 'section.model[data-model="iris"]')
        assert shown(section).keys() == {*rows.IRIS_FEATURES, "prediction"}
        save(chromium, "page-calm")

        moved = rows.shifted(rows.iris() * 2, "petal_length", 1.2)
        exchanges += rows.send_iris(driftd.post, moved)[1]
        model = driftd.settled_model(exchanges=exchanges)

        # Nobody reloads it: the page follows by itself.
        def follows():
            current = chromium.find_element(By.CSS_SELECTOR, 'section.model[data-model="iris"]')
            return next(iter(shown(current))) == "petal_length" and current

        section = wait_until(settling(follows), 60, "the shifted feature on top")
        features = shown(section)
        measures = [name for name in features if name in rows.IRIS_FEATURES]
        assert measures[0] == "petal_length"
        # The figures are on the page, and each feature has its picture.
        statistic = feature(model, "petal_length")["checks"][0]["statistic"]
        assert f"{statistic:.2f}" in features["petal_length"].text
        for name in rows.IRIS_FEATURES:
            # What has not drifted is folded away.
            if not features[name].find_elements(By.CSS_SELECTOR, "details[open]"):
                features[name].find_element(By.TAG_NAME, "summary").click()
            pictures = features[name].find_elements(By.CSS_SELECTOR, 'svg[role="img"]')
            assert any(p.size["width"] > 200 and p.size["height"] > 100 for p in pictures), name
        save(chromium, "page-drifted")

        assert errors(chromium) == []
        # The browser's own new tab, chrome://…, comes before the page.
        asked = [url for url in requested(chromium) if url.startswith(("http", "ws"))]
        assert asked and all(url.startswith(driftd.page + "/") for url in asked), asked


def test_the_page_fits_a_telephone(iris_app_sync, start_driftd, tmp_path):
    driftd = start_driftd(iris_app_sync.url)
    _, exchanges = rows.send_iris(driftd.post, rows.shifted(rows.iris() * 2, "petal_length", 1.2))
    driftd.settled_model(exchanges=exchanges)
    # Chromium's window cannot be narrower than this.
    with browser(tmp_path / "profile", width=500, height=900) as chromium:
        chromium.get(driftd.page + "/")
        wide = chromium.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, f"the page scrolls sideways by {wide} pixels"
        link = f"{driftd.page}/?model=iris&feature=petal_length"
        chromium.get(link)
        assert chromium.find_elements(By.CSS_SELECTOR, '[data-feature="petal_length"]')
        save(chromium, "page-narrow")
        assert errors(chromium) == []


def shown(section):
    """The features of a model's section in their order on the page."""
    elements = section.find_elements(By.CSS_SELECTOR, "[data-feature]")
    return {element.get_attribute("data-feature"): element for element in elements}


def settling(condition):
    """The condition, false while the page replaces the elements it looks at."""

    def attempt():
        try:
            return condition()
        except (NoSuchElementException, StaleElementReferenceException, StopIteration):
            return None

    return attempt
