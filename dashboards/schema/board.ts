// What this project's dashboard may be: Grafana's published types, with the options of the two kinds of panel it has.
import type { Dashboard, Panel, RowPanel } from "@grafana/schema";
import type { Options as Stat } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type {
  FieldConfig,
  Options as TimeSeries,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// Grafana fills in what is left out.
type Some<T> = T extends (infer Item)[] ? Item[] : T extends object ? { [Key in keyof T]?: Some<T[Key]> } : T;

type Fields<Custom> = Omit<NonNullable<Panel["fieldConfig"]>, "defaults"> & {
  defaults: Omit<NonNullable<Panel["fieldConfig"]>["defaults"], "custom"> & { custom?: Some<Custom> };
};

type Of<Kind extends string, Options, Custom> = Omit<Panel, "type" | "options" | "fieldConfig"> & {
  type: Kind;
  options?: Some<Options>;
  fieldConfig?: Fields<Custom>;
};

export type Board = Omit<Dashboard, "panels"> & {
  panels: (RowPanel | Of<"stat", Stat, Record<string, never>> | Of<"timeseries", TimeSeries, FieldConfig>)[];
};
