import { Graph as Layout, layout } from '@dagrejs/dagre';
import { Button, Slider } from '@fluentui/react-components';
import { BoxMultipleRegular } from '@fluentui/react-icons/svg/box-multiple';
import { DesktopRegular } from '@fluentui/react-icons/svg/desktop';
import { DocumentRegular } from '@fluentui/react-icons/svg/document';
import { GlobeRegular } from '@fluentui/react-icons/svg/globe';
import { LinkRegular } from '@fluentui/react-icons/svg/link';
import { NextRegular } from '@fluentui/react-icons/svg/next';
import { PauseRegular } from '@fluentui/react-icons/svg/pause';
import { PersonRegular } from '@fluentui/react-icons/svg/person';
import { PlayRegular } from '@fluentui/react-icons/svg/play';
import { PreviousRegular } from '@fluentui/react-icons/svg/previous';
import { ShapesRegular } from '@fluentui/react-icons/svg/shapes';
import { WindowConsoleRegular } from '@fluentui/react-icons/svg/window-console';
import { Background, Controls, Handle, MarkerType, Position, ReactFlow, useReactFlow, useStore, type Edge as FlowEdge, type Node as FlowNode, type NodeProps } from '@xyflow/react';
import '@xyflow/react/dist/style.css';
import { useEffect, useMemo, useRef, useState, type RefObject } from 'react';
import { useTheme } from '../../app/theme';
import { Time } from '../../app/time';
import { Severity } from '../../ui/badges';
import css from './AttackGraph.module.css';
import type { Graph, Kind, Node } from './graph';

const icons: Record<Kind, typeof DesktopRegular> = {
  device: DesktopRegular, process: WindowConsoleRegular, file: DocumentRegular, ip: GlobeRegular, url: LinkRegular, user: PersonRegular, other: ShapesRegular, cluster: BoxMultipleRegular,
};
const severities = ['', 'info', 'low', 'medium', 'high'];
const size = { width: 190, height: 54 };

type Thing = FlowNode<{ node: Node; seen: boolean; fresh: boolean }, 'thing'>;

function ThingNode({ data: { node: n, seen, fresh }, selected }: NodeProps<Thing>) {
  const Icon = icons[n.kind];
  return (
    <div className={`${css.node} ${css[severities[n.severity]] ?? ''} ${selected ? css.on : ''} ${fresh ? css.fresh : ''}`} style={{ opacity: seen ? 1 : 0.16 }}>
      <Handle type="target" position={Position.Left} className={css.port} isConnectable={false} />
      <span className={css.icon}><Icon fontSize={20} aria-hidden /></span>
      <span className={css.text}>
        <span className={css.title} title={n.title}>{n.title}</span>
        <span className={css.detail} title={n.detail}>{n.detail}</span>
      </span>
      <Handle type="source" position={Position.Right} className={css.port} isConnectable={false} />
    </div>
  );
}

const nodeTypes = { thing: ThingNode };
const fit = { maxZoom: 1, padding: 0.1 };

/** Shows the whole graph again when its place has another size, until somebody moved it. */
function Refit({ moved }: { moved: RefObject<boolean> }) {
  const { fitView } = useReactFlow();
  const width = useStore((s) => s.width);
  const height = useStore((s) => s.height);
  useEffect(() => { if (!moved.current && width > 0) void fitView(fit); }, [width, height, fitView, moved]);
  return null;
}

/** Where each node stands: left to right, as things followed from each other. */
function placed(g: Graph): Map<string, { x: number; y: number }> {
  const d = new Layout({ multigraph: false });
  // The best ranks take a second for 500 things, and are hardly better there.
  d.setGraph({ rankdir: 'LR', nodesep: 18, ranksep: 90, ranker: g.nodes.length > 150 ? 'tight-tree' : 'network-simplex' });
  d.setDefaultEdgeLabel(() => ({}));
  for (const n of g.nodes) d.setNode(n.id, { ...size });
  for (const e of g.edges) d.setEdge(e.from, e.to);
  layout(d);
  return new Map(g.nodes.map((n) => { const p = d.node(n.id) as { x: number; y: number }; return [n.id, { x: p.x - size.width / 2, y: p.y - size.height / 2 }]; }));
}

/** The graph with playback: alert after alert, as they happened. */
export function AttackGraph({ graph, chosen, choose, only }: { graph: Graph; chosen?: string; choose: (n: Node | undefined) => void; only?: string }) {
  const last = Math.max(0, graph.steps.length - 1);
  const [step, setStep] = useState(last);
  const [playing, setPlaying] = useState(false);
  const moved = useRef(false);
  const { shown } = useTheme();
  useEffect(() => setStep(last), [last]);
  useEffect(() => {
    if (!playing) return undefined;
    if (step >= last) { setPlaying(false); return undefined; }
    const later = setTimeout(() => setStep((s) => s + 1), 1400);
    return () => clearTimeout(later);
  }, [playing, step, last]);
  const where = useMemo(() => placed(graph), [graph]);
  const nodes = useMemo<Thing[]>(() => graph.nodes.map((n) => ({
    id: n.id, type: 'thing', position: where.get(n.id)!, selected: n.id === chosen, draggable: false, connectable: false, width: size.width, height: size.height,
    ariaLabel: `${n.kind} ${n.title}`, data: { node: n, seen: n.step <= step && (!only || n.alerts.includes(only)), fresh: step < last && n.step === step },
  })), [graph, where, step, last, chosen, only]);
  const edges = useMemo<FlowEdge[]>(() => graph.edges.map((e) => ({
    id: e.id, source: e.from, target: e.to, label: e.label, focusable: false, style: { opacity: e.step <= step && !only ? 1 : 0.18, stroke: 'var(--colorNeutralStrokeAccessible)' },
    markerEnd: { type: MarkerType.ArrowClosed, width: 16, height: 16, color: 'var(--colorNeutralStrokeAccessible)' }, labelShowBg: true,
  })), [graph, step, only]);
  const now = graph.steps[step];
  const play = () => { if (step >= last) setStep(0); setPlaying(!playing); };
  return (
    <div className={css.frame}>
      {graph.steps.length > 1 && (
        <div className={css.player} role="group" aria-label="Playback">
          <Button size="small" appearance="subtle" icon={<PreviousRegular />} aria-label="Previous alert" disabled={step === 0} onClick={() => { setPlaying(false); setStep(step - 1); }} />
          <Button size="small" appearance="subtle" icon={playing ? <PauseRegular /> : <PlayRegular />} aria-label={playing ? 'Pause' : 'Play the attack story'} onClick={play} />
          <Button size="small" appearance="subtle" icon={<NextRegular />} aria-label="Next alert" disabled={step >= last} onClick={() => { setPlaying(false); setStep(step + 1); }} />
          <Slider size="small" className={css.slider} min={0} max={last} value={step} onChange={(_, d) => { setPlaying(false); setStep(d.value); }} aria-label="Alert of the story" />
          <span className={css.now} aria-live={playing ? 'polite' : 'off'}>{now && <><Severity value={now.severity} /> <span className="clip">{now.title}</span> <Time at={now.at} form="short" /></>}</span>
        </div>
      )}
      <div className={css.flow} role="group" aria-label={`Graph of ${graph.nodes.length} things`}>
        <ReactFlow nodes={nodes} edges={edges} nodeTypes={nodeTypes} fitView fitViewOptions={fit} onMoveStart={(e) => { if (e) moved.current = true; }} minZoom={0.05} maxZoom={2} colorMode={shown}
          onlyRenderVisibleElements={graph.nodes.length > 150} nodesConnectable={false} elementsSelectable edgesFocusable={false} proOptions={{ hideAttribution: true }}
          onNodeClick={(_, n) => choose(n.data.node)} onPaneClick={() => choose(undefined)}
          onSelectionChange={({ nodes: [n] }) => { if (n && n.id !== chosen) choose((n as Thing).data.node); }}>
          <Refit moved={moved} />
          <Background gap={20} />
          <Controls showInteractive={false} />
        </ReactFlow>
      </div>
    </div>
  );
}
