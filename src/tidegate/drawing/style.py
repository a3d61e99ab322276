"""How the page looks: one column on a phone, two on a desk, dark where the reader's system is."""

CSS = """
:root { color-scheme: light dark; --ink: #1c2733; --dim: #5b6875; --paper: #ffffff; --card: #f5f7f9; --rule: #d8dee4;
  --candidate: #c2410c; --stable: #1d6fb8; --good: #15803d; --bad: #b91c1c; --wait: #a16207;
  --one: #b91c1c; --two: #7c3aed; --three: #0f766e; --four: #a16207; --five: #1d6fb8; --six: #be185d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e9ef; --dim: #9aa7b4; --paper: #11171d; --card: #1a222b;
  --rule: #303b46; --candidate: #fb923c; --stable: #60a5fa; --good: #4ade80; --bad: #f87171; --wait: #facc15;
  --one: #f87171; --two: #c4b5fd; --three: #5eead4; --four: #facc15; --five: #60a5fa; --six: #f9a8d4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.25rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
.outcome { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; border: 1.5px solid currentColor;
  font-size: .9rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .wait { color: var(--wait); }
.verdict { font-size: 1.1rem; margin: .75rem 0 1rem; padding: .75rem 1rem; background: var(--card);
  border-left: 4px solid var(--dim); border-radius: 4px; }
.verdict.good { border-color: var(--good); color: inherit; } .verdict.bad { border-color: var(--bad); color: inherit; }
.verdict.wait { border-color: var(--wait); color: inherit; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; }
dt { color: var(--dim); } dd { margin: 0; min-width: 0; }
code { font: .9em ui-monospace, monospace; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem;
  align-items: start; }
figure { margin: 0; padding: .9rem; background: var(--card); border-radius: 8px; min-width: 0; }
figcaption, .legend { color: var(--dim); font-size: .85rem; }
.legend { margin: 0 0 .4rem; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1rem; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .35em;
  background: currentColor; vertical-align: -.05em; } .legend i.rule { height: 2px; border-radius: 0; width: 1.2em;
  vertical-align: .25em; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--dim); font: 12px system-ui, sans-serif; } svg .label { fill: var(--ink); font-size: 13px; }
.grid { stroke: var(--rule); stroke-width: 1; } .bar { stroke: var(--dim); stroke-width: 1.5; stroke-dasharray: 5 4; }
.line { fill: none; stroke: var(--dim); stroke-width: 2; stroke-linejoin: round; }
.asked { stroke: var(--dim); } i.asked { color: var(--dim); }
.line.candidate { stroke: var(--candidate); } .dot.candidate { fill: var(--candidate); }
i.candidate { color: var(--candidate); }
.line.current { stroke: var(--candidate); } i.current { color: var(--candidate); }
.line.reference { stroke: var(--stable); } i.reference { color: var(--stable); }
.line.stable { stroke: var(--stable); } .dot.stable { fill: var(--stable); } i.stable { color: var(--stable); }
.line.one { stroke: var(--one); } .dot.one { fill: var(--one); } i.one { color: var(--one); }
.line.two { stroke: var(--two); stroke-dasharray: 7 3; } .dot.two { fill: var(--two); } i.two { color: var(--two); }
.line.three { stroke: var(--three); stroke-dasharray: 2 3; } .dot.three { fill: var(--three); }
i.three { color: var(--three); }
.line.four { stroke: var(--four); } .dot.four { fill: var(--four); } i.four { color: var(--four); }
.line.five { stroke: var(--five); } .dot.five { fill: var(--five); } i.five { color: var(--five); }
.line.six { stroke: var(--six); } .dot.six { fill: var(--six); } i.six { color: var(--six); }
.cell { fill: var(--card); } .cell.good { fill: var(--good); fill-opacity: .12; }
.cell.wait { fill: var(--wait); fill-opacity: .35; } .cell.bad { fill: var(--bad); fill-opacity: .45; }
svg .figure { fill: var(--ink); font-size: 9px; }
.table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--rule); }
th { color: var(--dim); font-weight: 600; white-space: nowrap; } td.number, th.number { text-align: right; }
td.number { white-space: nowrap; } td.name { overflow-wrap: anywhere; min-width: 7rem; }
td.fixed { white-space: nowrap; } td.words { min-width: 14rem; }
footer { margin-top: 2rem; color: var(--dim); font-size: .85rem; }
@media (max-width: 40rem) { .stack thead { display: none; } .stack tr { display: block; padding: .4rem 0;
  border-bottom: 1px solid var(--rule); } .stack td { display: inline; border: 0; padding: 0 .5rem 0 0; }
  .stack td.words { display: block; } }
@media print { body { max-width: none; } figure { break-inside: avoid; } }
"""
