"""How the report's page looks: one style sheet, with nothing from elsewhere."""

STYLE = """
:root { --ink: #1d2733; --soft: #5c6b7a; --line: #d9e0e7; --ground: #f5f7f9; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
header h1 { margin: 0.5rem 0 0.2rem; font-size: 1.9rem; line-height: 1.2; }
header p { margin: 0.2rem 0; color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; margin: 1rem 0 1.2rem; font-size: 0.95rem; }
nav a { color: var(--accent); text-decoration: none; }
nav a:hover { text-decoration: underline; }
section { background: white; border: 1px solid var(--line); border-radius: 8px; padding: 1.1rem 1.4rem 1.3rem;
          margin: 0 0 1.2rem; }
h2 { margin: 0 0 0.4rem; font-size: 1.3rem; }
h3 { margin: 1.4rem 0 0.3rem; font-size: 1.05rem; }
p { margin: 0.4rem 0 0.7rem; max-width: 48rem; }
.soft { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)); gap: 0.8rem; margin: 1rem 0; }
.tile { border: 1px solid var(--line); border-radius: 6px; padding: 0.7rem 0.9rem; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.25; }
.tile span { display: block; color: var(--soft); font-size: 0.88rem; line-height: 1.35; }
.scroll { overflow-x: auto; margin: 0.6rem 0; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.28rem 0.9rem 0.28rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { text-align: left; color: var(--soft); font-weight: 600; vertical-align: bottom; }
.r { text-align: right; padding-left: 0.6rem; }
.l { text-align: left; }
img { display: block; max-width: 100%; height: auto; margin: 0.8rem 0; }
td:first-child { white-space: nowrap; }
.mark { display: inline-block; border-radius: 4px; padding: 0 0.45rem; font-size: 0.85rem; white-space: nowrap; }
.measured { background: #d8efe4; color: #00563b; }
.computed { background: #dcebf6; color: #004a75; }
.bad { background: #f8d9cc; color: #8a2c00; }
.not { background: #eceff2; color: #4a5560; }
.figures { display: flex; flex-wrap: wrap; gap: 0.5rem 3rem; }
figure { margin: 0.6rem 0; }
figcaption { color: var(--soft); font-size: 0.92rem; }
.matrix th { padding: 0.3rem 0.6rem; text-align: center; vertical-align: middle; border: none; }
.matrix td { min-width: 2.9rem; height: 2.3rem; padding: 0; text-align: center; vertical-align: middle;
             border: 2px solid white; }
.never { background: #f1f3f5; color: var(--soft); font-size: 0.8rem; }
.after0 { background: #8a2c00; color: white; }
.after1 { background: #0b5c94; color: white; }
.after2 { background: #4d8fbe; color: white; }
.after3 { background: #9cc3df; }
.after4 { background: #d4e6f2; }
.warning { background: #fdf0d9; border: 1px solid #e9c583; border-radius: 6px; padding: 0.5rem 0.9rem; margin: 0.7rem 0;
           max-width: none; }
details { margin: 0.6rem 0; }
summary { cursor: pointer; color: var(--accent); }
pre { overflow-x: auto; background: var(--ground); padding: 0.7rem 0.9rem; border-radius: 6px; font-size: 0.85rem; }
@media print { body { background: white; } section { break-inside: avoid; border: none; } nav { display: none; } }
"""
