import { createDarkTheme, createLightTheme, type BrandVariants, type Theme } from '@fluentui/react-components';
import { createContext, useContext, useEffect, useMemo, useState } from 'react';

// Our own colour, a petrol that keeps 4.5:1 on white at step 80 and on the dark ground at step 110.
const brand: BrandVariants = {
  10: '#010505', 20: '#071a1d', 30: '#082b31', 40: '#083840', 50: '#07454f', 60: '#06525f', 70: '#05606f', 80: '#056e7f',
  90: '#1c7c8c', 100: '#398a99', 110: '#5199a6', 120: '#68a8b3', 130: '#80b7c0', 140: '#98c6cd', 150: '#b1d5da', 160: '#cbe4e8',
};

const font = "system-ui, -apple-system, 'Noto Sans', 'Liberation Sans', sans-serif";
const mono = "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', monospace";
const common = { fontFamilyBase: font, fontFamilyMonospace: mono, fontFamilyNumeric: font };

const dark = createDarkTheme(brand);
export const themes: Record<Shown, Theme> = {
  light: { ...createLightTheme(brand), ...common },
  dark: { ...dark, ...common, colorBrandForeground1: brand[120], colorBrandForeground2: brand[130], colorBrandForegroundLink: brand[130], colorBrandForegroundLinkHover: brand[140] },
};

export type Shown = 'light' | 'dark';
export type Choice = Shown | 'system';

export interface ThemeState {
  choice: Choice;
  shown: Shown;
  choose: (c: Choice) => void;
}

export const ThemeContext = createContext<ThemeState>({ choice: 'system', shown: 'light', choose: () => undefined });
export const useTheme = (): ThemeState => useContext(ThemeContext);

const key = 'vedette.theme';

/** The theme, kept in this browser so that the first paint has it, before anybody is signed in. */
export function useThemeChoice(): ThemeState {
  const [choice, setChoice] = useState<Choice>(() => (localStorage.getItem(key) as Choice | null) ?? 'system');
  const [prefersDark, setPrefersDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches);
  useEffect(() => {
    const media = matchMedia('(prefers-color-scheme: dark)');
    const changed = () => setPrefersDark(media.matches);
    media.addEventListener('change', changed);
    return () => media.removeEventListener('change', changed);
  }, []);
  const shown: Shown = choice === 'system' ? (prefersDark ? 'dark' : 'light') : choice;
  useEffect(() => { document.documentElement.style.colorScheme = shown; document.documentElement.dataset.theme = shown; }, [shown]);
  return useMemo(() => ({
    choice, shown,
    choose: (c: Choice) => { localStorage.setItem(key, c); setChoice(c); },
  }), [choice, shown]);
}
