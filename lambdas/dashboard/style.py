"""The looks of the page: one style block, and the policy that allows it and nothing else."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root{color-scheme:light dark;--back:#f4f6f9;--card:#fff;--text:#1b2430;--soft:#566375;--line:#dfe5ec;--link:#1d4f91;
--positive:#15794a;--neutral:#66758a;--negative:#c0362c;--waiting:#8a5a00}
@media(prefers-color-scheme:dark){:root{--back:#0f141b;--card:#18202b;--text:#e7ecf3;--soft:#a3b0c0;--line:#2b3644;
--link:#9cc4ff;--positive:#45c088;--neutral:#9aa8ba;--negative:#ff8478;--waiting:#e5b45a}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main,header,footer{max-width:72rem;margin:0 auto;padding:0 1rem}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem .9rem;padding-top:1.6rem}
h1{font-size:1.6rem;line-height:1.2;margin:0;letter-spacing:-.01em}
h2{font-size:1.05rem;margin:0 0 .8rem}
a{color:var(--link);text-underline-offset:.15em;text-decoration-thickness:1px}
a:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:2px}
.badge{border:1px solid var(--line);background:var(--card);border-radius:99px;padding:.05rem .7rem;font-size:.85rem}
.soft{color:var(--soft);font-size:.875rem}
header .soft{margin-left:auto}
.card{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1rem 1.15rem;min-width:0}
.note{border-left:.3rem solid var(--waiting);margin:1rem 0 0}
.numbers{display:grid;grid-template-columns:repeat(5,1fr);gap:.8rem;list-style:none;margin:1rem 0 .8rem;padding:0}
.numbers b{display:block;font-size:1.9rem;line-height:1.2;font-variant-numeric:tabular-nums}
.mark{font-weight:600}
.positive{color:var(--positive)}.neutral{color:var(--neutral)}.negative{color:var(--negative)}.waiting{color:var(--waiting)}
.columns{display:grid;grid-template-columns:minmax(0,1.75fr) minmax(0,1fr);gap:.8rem}
svg{display:block}
.trend{width:100%;height:auto}
.trend text{font-size:12px;fill:var(--soft)}
.trend .sum{fill:var(--text);font-weight:600}
.grid{stroke:var(--line)}
.fill-positive{fill:var(--positive)}.fill-neutral{fill:var(--neutral)}.fill-negative{fill:var(--negative)}
.dot{fill:var(--card)}.hatch{stroke:var(--card)}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;list-style:none;margin:0 0 .6rem;padding:0;font-size:.9rem}
.legend li{display:flex;align-items:center;gap:.4rem}
details{margin-top:.6rem;font-size:.9rem}
summary{cursor:pointer;color:var(--soft)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .5rem .35rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
tr:last-child td,tr:last-child th{border-bottom:0}
th{font-weight:500}
thead th{color:var(--soft);font-size:.85rem}
td.number,th.number{text-align:right;padding-right:0;overflow-wrap:normal}
.bar{width:100%;height:.5rem;margin-top:.3rem;border-radius:.25rem;background:var(--back)}
.bar rect{fill:var(--link)}
.news{list-style:none;margin:0;padding:0}
.news li{display:grid;grid-template-columns:minmax(0,1fr) 11rem;gap:.1rem 1.2rem;padding:.65rem 0;
border-top:1px solid var(--line)}
.news li:first-child{border-top:0;padding-top:0}
.title{margin:0;overflow-wrap:anywhere;font-weight:500;text-align:left}
.about{grid-column:1;margin:0;overflow-wrap:anywhere}
.verdict{grid-column:2;grid-row:1/3;align-self:center;display:grid;grid-template-columns:1fr auto;gap:.1rem .6rem;
font-size:.9rem}
.verdict span:nth-child(2){font-variant-numeric:tabular-nums}
.scale{grid-column:1/-1;width:100%;height:.5rem}
.empty{text-align:center;padding:2.6rem 1rem}
.empty p{margin:.3rem auto;max-width:34rem}
.below{margin-top:.8rem}
footer{padding-top:1rem;padding-bottom:2rem;overflow-wrap:anywhere}
@media(max-width:56rem){.columns{grid-template-columns:minmax(0,1fr)}}
@media(max-width:44rem){.numbers{grid-template-columns:repeat(2,1fr)}.numbers li:first-child{grid-column:1/-1}
h1{font-size:1.35rem}header .soft{margin-left:0;width:100%}.card{padding:.85rem .9rem}
.trend text{font-size:22px}.trend .sum{font-size:19px}.news li{grid-template-columns:minmax(0,1fr)}
.verdict{grid-column:1;grid-row:auto;grid-template-columns:auto auto 1fr;align-items:center}.scale{grid-column:auto}}
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Allows the page's one style block, and nothing else: no script, no image, no style attribute."""
