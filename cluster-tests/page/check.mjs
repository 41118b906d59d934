// check.mjs -- what the page must show and must not do: run by `run`, against its cluster.
import {execFileSync, spawn} from 'node:child_process';
import {createRequire} from 'node:module';
import {existsSync, openSync, readFileSync, writeFileSync} from 'node:fs';
import {strict as assert} from 'node:assert';

const [tidings, tidingsd, cluster, shots, staleText, driver] = process.argv.slice(2);
const {chromium} = createRequire(driver + '/')('playwright-core');
const stale = Number(staleText);
const regions = readFileSync(cluster + '/regions', 'utf8').trim().split('\n');
const [home, near, far] = regions;
const port = region => Number(readFileSync(`${cluster}/${region}/port`, 'utf8'));
const base = `http://127.0.0.1:${port(home) + 1}`;
const t = (region, ...args) =>
  execFileSync(tidings, ['-n', `ipc://${cluster}/${region}/tidings.sock`, ...args], {encoding: 'utf8'});
const both = (what, a, b) => { t(a, 'fault', what, b); t(b, 'fault', what, a); };
const say = line => console.log(line);

const SIZES = {desk: {width: 1280, height: 900}, phone: {width: 390, height: 844}};
const SLOW = 20000; // for what has no promise of its own, on a busy machine

// Every page is watched: requests, console, policy.
function watched(page, faults) {
  page.on('request', request => {
    const url = request.url();
    if (!url.startsWith(base + '/') && !url.startsWith('data:')) faults.push('request to ' + url);
  });
  page.on('console', message => { if (message.type() === 'error') faults.push('console: ' + message.text()); });
  page.on('pageerror', error => faults.push('exception: ' + error.message));
}
async function open(browser, options, faults) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  watched(page, faults);
  await page.goto(base + '/');
  return page;
}
const card = (page, region) => page.locator('#regions > li', {hasText: region}).first();
const settled = page => page.waitForFunction(() => document.querySelector('#live').textContent === 'live' &&
  document.querySelectorAll('#job-rows .why').length > 3 && document.querySelector('#drawing svg'), null, {timeout: SLOW});

async function pictures(browser, state, ready) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark']) {
      const faults = [];
      const page = await open(browser, {viewport, colorScheme}, faults);
      await settled(page);
      await ready(page);
      await page.screenshot({path: `${shots}/${state}-${size}-${colorScheme}.png`, fullPage: true});
      const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${state} ${size}: the page is ${over} px wider than the window`);
      assert.deepEqual(faults, [], `${state} ${size} ${colorScheme}`);
      await page.context().close();
    }
  }
  say(`ok    pictures: ${state}, two sizes, light and dark; nothing left the origin, no policy or console error`);
}

// WCAG 2 AA: 4.5 for text, on every ground it stands on.
async function contrast(browser) {
  for (const colorScheme of ['light', 'dark']) {
    const page = await open(browser, {colorScheme}, []);
    const low = await page.evaluate(() => {
      const style = getComputedStyle(document.documentElement);
      const luminance = name => {
        const hex = style.getPropertyValue(name).trim().replace(/^#(.)(.)(.)$/, '#$1$1$2$2$3$3');
        const [r, g, b] = [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16) / 255)
          .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ratio = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
      const pairs = ['--ink', '--soft', '--link', '--good', '--warn', '--bad'].flatMap(ink => ['--ground', '--sheet'].map(ground => [ink, ground]));
      pairs.push(['--ink', '--bad-ground'], ['--bad', '--bad-ground'], ['--ink', '--warn-ground'], ['--warn', '--warn-ground']);
      return pairs.filter(([ink, ground]) => !(ratio(ink, ground) >= 4.5)).map(([ink, ground]) => `${ink} on ${ground}: ${ratio(ink, ground).toFixed(2)}`);
    });
    assert.deepEqual(low, [], colorScheme);
    await page.context().close();
  }
  say('ok    every colour of text has a contrast of 4.5 or more, light and dark');
}

async function textStaysText(page) {
  const row = page.locator('#job-rows tr', {hasText: 'evil/1'});
  await row.waitFor({timeout: SLOW});
  const detail = await row.locator('td').nth(3).textContent();
  assert.equal(detail, '<script>document.title = "stolen"</script>\\u{1b}[31mred\\u{202e}txt');
  assert.match(await row.locator('td').nth(2).textContent(), /<img src=x onerror=stolen\(\)>/);
  assert.equal(await row.locator('script, img').count(), 0);
  await row.getByRole('button').click();
  const dialog = page.locator('#why');
  await dialog.locator('tbody tr').first().waitFor({timeout: SLOW});
  assert.match(await dialog.textContent(), /<script>document\.title = "stolen"<\/script>\\u\{1b\}\[31m/);
  assert.equal(await dialog.locator('script, img').count(), 0);
  assert.doesNotMatch(await page.title(), /stolen/);
  await page.keyboard.press('Escape');
  say('ok    a detail of <script>, ESC and a bidi override is text, in the table and in explain');
}

async function keyboard(page) {
  await page.reload();
  await settled(page);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'find-id');
  await page.keyboard.type('acme/nightly/1001');
  await page.keyboard.press('Enter');
  await page.locator('#why tbody tr').first().waitFor({timeout: SLOW});
  assert.match(await page.locator('#why .answer').textContent(), /^Attempt 1 is running 40 %: no other version/);
  await page.screenshot({path: `${shots}/explain.png`});
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.querySelector('#why').open), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'find-id', 'focus comes back');
  let reached = '';
  for (let i = 0; i < 40 && reached !== 'why'; i++) {
    await page.keyboard.press('Tab');
    reached = await page.evaluate(() => document.activeElement.className);
  }
  assert.equal(reached, 'why', 'a [why?] button is reached by Tab alone');
  const id = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  await page.waitForTimeout(2500); // the table has been drawn again at least twice
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), id, 'and keeps the focus');
  await page.keyboard.press('Escape');
  await page.locator('#find-id').fill('acme/nightly/1003');
  await page.keyboard.press('Enter');
  await page.locator('#why tbody tr').first().waitFor({timeout: SLOW});
  assert.match(await page.locator('#why').textContent(), /Refused: 1 update of this job, the attempt already has a state of higher rank, from local uid \d+, last at [\d:]+Z \(TD-E0301\)\./);
  await page.screenshot({path: `${shots}/refused.png`});
  await page.keyboard.press('Escape');
  await page.locator('#find-id').fill('acme/nobody');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => /no region knows/.test(document.querySelector('#why').textContent), null, {timeout: SLOW});
  await page.keyboard.press('Escape');
  say('ok    by keyboard alone: skip link, find a job, explain, focus comes back and stays');
}

async function live(page) {
  t(near, 'publish', 'acme/live/1', 'running', '--progress', '10');
  const progress = page.locator('#job-rows tr', {hasText: 'acme/live/1'}).locator('td').first();
  await progress.filter({hasText: 'running 10 %'}).waitFor({timeout: SLOW});
  t(near, 'publish', 'acme/live/1', 'completed');
  await progress.filter({hasText: 'completed'}).waitFor({timeout: SLOW});
  const silent = page.locator('#counts button', {hasText: 'silent'});
  await silent.filter({hasText: '1'}).waitFor({timeout: SLOW});
  await silent.click();
  await page.locator('#job-rows th', {hasText: 'acme/silent/1'}).waitFor({timeout: SLOW});
  assert.equal(await page.locator('#job-rows .why').count(), 1);
  await page.locator('#counts button').first().click();
  say('ok    changes arrive by themselves; counts choose jobs');
}

async function narrow(page) {
  for (const width of [640, 320]) { // 1280 at 200 % and at 400 %
    await page.setViewportSize({width, height: 600});
    const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `at ${width} px the page is ${over} px too wide`);
  }
  await page.setViewportSize(SIZES.desk);
  await page.pdf({path: `${shots}/print.pdf`, format: 'A4'});
  await page.emulateMedia({media: 'print'});
  assert.equal(await page.locator('#find').isVisible(), false);
  await page.screenshot({path: `${shots}/print.png`});
  await page.emulateMedia({media: null});
  say('ok    200 % and 400 % zoom need no sideways scrolling; it prints');
}

async function withoutScript(browser, faults) {
  const page = await open(browser, {viewport: SIZES.desk, javaScriptEnabled: false}, faults);
  await page.screenshot({path: `${shots}/no-script.png`, fullPage: true});
  for (const region of [near, far]) {
    assert.match(await card(page, region).textContent(), /fresh/);
    assert.equal(await page.locator('#peers th', {hasText: region}).count(), 1);
  }
  assert.equal(await page.locator('#mesh tr').count(), regions.length);
  const row = page.locator('#job-rows tr', {hasText: 'evil/1'});
  assert.match(await row.textContent(), /<script>document\.title = "stolen"<\/script>\\u\{1b\}\[31m/);
  assert.equal(await row.locator('script, img').count(), 0);
  assert.match(await page.locator('#verdict').textContent(), /^Yes: complete as of /);
  const [answer] = await Promise.all([page.waitForNavigation(), row.locator('a').click()]);
  assert.equal(JSON.parse(await answer.text()).explain.job, 'evil/1');
  await page.context().close();
  say('ok    without JavaScript: regions, links, mesh, jobs; [why?] is a link');
}

async function linkCut(page, browser) {
  both('cut', home, near);
  const link = page.locator('#peers tr', {hasText: near}).locator('td').first();
  await link.filter({hasText: 'no direct link, through ' + far}).waitFor({timeout: 3 * SLOW});
  assert.match(await card(page, near).textContent(), /through/);
  assert.match(await page.locator('#verdict').textContent(), /^Yes\./);
  await page.locator('#verdict-more', {hasText: `1 of 2 direct links is down (${near})`}).waitFor({timeout: SLOW});
  await page.locator('#mesh-words', {hasText: `${home} and ${near}: no direct link`}).waitFor({timeout: SLOW});
  await page.locator('#events', {hasText: `link ${home} to ${near}: no direct link`}).waitFor({timeout: SLOW});
  await pictures(browser, 'link-cut', p => p.locator('#peers', {hasText: 'no direct link'}).waitFor({timeout: SLOW}));
  both('heal', home, near);
  await link.filter({hasText: /^up$/}).waitFor({timeout: 3 * SLOW});
  say('ok    a cut link is named in table, drawing, words and events, and its region stays fresh by the other path');
}

// And one between two others, which this node knows from what they sign.
async function otherLinkCut(page, browser) {
  both('cut', near, far);
  await page.locator('#mesh-words', {hasText: `${near} and ${far}: no direct link`}).waitFor({timeout: 3 * SLOW});
  await page.locator('#mesh tr', {hasText: near}).filter({hasText: `${far} (through ${home})`}).first().waitFor({state: 'attached', timeout: SLOW});
  assert.equal(await page.locator('#drawing line.bad').count(), 1);
  assert.match(await page.locator('#verdict').textContent(), /^Yes[.:]/);
  const plain = await open(browser, {javaScriptEnabled: false}, []);
  assert.match(await plain.locator('#mesh').textContent(), new RegExp(`${far} \\(through ${home}\\)`));
  await plain.context().close();
  await pictures(browser, 'other-link-cut', p => p.locator('#drawing line.bad').waitFor({state: 'attached', timeout: SLOW}));
  both('heal', near, far);
  await page.locator('#mesh-words', {hasText: 'Each region hears each other one.'}).waitFor({timeout: 3 * SLOW});
  say('ok    a cut between two other regions is drawn, in words and in both tables');
}

// The promise: STALE within 2 s of the threshold. All clocks here are one clock.
async function regionStale(page, browser) {
  both('cut', far, home);
  both('cut', far, near);
  await card(page, far).locator('.word', {hasText: 'STALE'}).waitFor({timeout: 60000});
  const shownAt = Date.now();
  const body = await (await fetch(base + '/v1/regions')).json();
  const until = Date.parse(body.regions.find(r => r.region === far).fresh.complete_until);
  const late = (shownAt - until) / 1000 - stale;
  assert.ok(late < 2, `STALE came ${late.toFixed(2)} s behind the threshold`);
  assert.ok(late > -0.5, `STALE came ${-late.toFixed(2)} s before the threshold`);
  assert.match(await page.locator('#verdict').textContent(), new RegExp(`^Not for ${far}\\. It was last complete `));
  assert.match(await page.title(), new RegExp('^STALE ' + far));
  await page.locator('#job-rows tr', {hasText: 'acme/export/77'}).filter({hasText: 'LAST KNOWN, as of'}).waitFor({timeout: SLOW});
  assert.match(await card(page, near).textContent(), /fresh/);
  const plain = await open(browser, {javaScriptEnabled: false}, []);
  assert.match(await card(plain, far).textContent(), /STALE/);
  assert.match(await plain.locator('#verdict').textContent(), new RegExp('^Not fully\\. .*' + far));
  assert.match(await plain.locator('#job-rows tr', {hasText: 'acme/export/77'}).textContent(), /LAST KNOWN/);
  assert.doesNotMatch(await plain.locator('#job-rows tr', {hasText: 'acme/nightly/1002'}).textContent(), /LAST KNOWN/);
  await plain.context().close();
  await pictures(browser, 'stale', p => card(p, far).locator('.word', {hasText: 'STALE'}).waitFor({timeout: SLOW}));
  both('heal', far, home);
  both('heal', far, near);
  await card(page, far).locator('.word', {hasText: 'fresh'}).waitFor({timeout: 60000});
  say(`ok    STALE ${late.toFixed(2)} s after the threshold of ${stale} s; its jobs say LAST KNOWN; fresh again after the heal`);
}

async function nodeGone(page) {
  const pid = Number(readFileSync(`${cluster}/${home}/pid`, 'utf8'));
  process.kill(pid, 'SIGKILL');
  const killedAt = Date.now();
  await page.locator('#live', {hasText: 'connection lost'}).waitFor({timeout: SLOW});
  for (const word of await page.locator('#regions .word').allTextContents()) assert.match(word, /last known|STALE/);
  const took = (Date.now() - killedAt) / 1000;
  assert.ok(took < 8, `the page noticed after ${took} s`);
  assert.match(await page.locator('#verdict').textContent(), /^No\. This page has lost /);
  await page.screenshot({path: `${shots}/lost.png`, fullPage: true});
  const log = openSync(`${cluster}/${home}/log`, 'a');
  const again = spawn(tidingsd, ['-c', `${cluster}/${home}/tidingsd.yaml`], {stdio: ['ignore', log, log], detached: true});
  again.unref();
  writeFileSync(`${cluster}/${home}/pid`, String(again.pid) + '\n');
  await page.locator('#live', {hasText: /^live$/}).waitFor({timeout: 60000});
  await card(page, near).locator('.word', {hasText: 'fresh'}).waitFor({timeout: 60000});
  say(`ok    node killed: "connection lost" after ${took.toFixed(1)} s; live again by itself`);
}

// The watching above is worth something only if a planted fault is seen.
async function planted(browser) {
  const faults = [];
  const page = await open(browser, {viewport: SIZES.desk}, faults);
  await settled(page);
  await page.evaluate(() => document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/out.png'})));
  await page.evaluate(() => { try { document.body.innerHTML += '<b>x</b>'; } catch {} });
  await page.waitForFunction(() => true);
  await page.waitForTimeout(500);
  assert.ok(faults.some(f => /violates the following Content Security Policy/.test(f) || /request to http:\/\/127\.0\.0\.1:9/.test(f)), 'a planted outside request is seen');
  assert.ok(faults.some(f => /TrustedHTML/.test(f)), 'innerHTML is refused by the policy');
  await page.context().close();
  say('ok    planted: an outside picture and innerHTML are refused and seen');
}

assert.ok(existsSync('/usr/bin/chromium'), 'chromium is not installed');
const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']});
try {
  const faults = [];
  await withoutScript(browser, faults);
  await contrast(browser);
  const page = await open(browser, {viewport: SIZES.desk}, faults);
  await settled(page);
  await page.waitForFunction(() => /^Yes\./.test(document.querySelector('#verdict').textContent), null, {timeout: SLOW});
  await textStaysText(page);
  await keyboard(page);
  await live(page);
  await narrow(page);
  await pictures(browser, 'healthy', p => p.locator('#verdict', {hasText: /^Yes\./}).waitFor({timeout: SLOW}));
  await linkCut(page, browser);
  await otherLinkCut(page, browser);
  await regionStale(page, browser);
  // 404 of a job nobody knows is an answer, not a fault; the browser logs it all the same.
  const unexpected = faults.filter(f => !/status of 404/.test(f));
  assert.deepEqual(unexpected, [], 'outside requests, policy violations, console errors');
  await nodeGone(page);
  await planted(browser);
  say(`the page keeps its promises; pictures in ${shots}`);
} finally {
  await browser.close();
}
